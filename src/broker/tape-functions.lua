#!lua name=tapecast
-- The Redis Functions behind topics with history. The server loads this library; any client may call it.
--
-- A topic's log is one stream, `<prefix>log:<topic>`. The ID of an entry is its position: the first half is the
-- epoch (Redis TIME in microseconds when the log began), the second half the publication's seq, 1, 2, 3 ...
-- `last-generated-id` survives trimming and deletion, so a stream that was emptied goes on counting, and one that
-- was lost or has expired begins a new epoch by itself. An entry's fields are, in this order: t (ms since 1970),
-- d (the JSON as published), and o (id of the publishing connection) if there is one.
--
-- A replica that becomes master may lack what its master answered last, and would give the same positions out again. So a
-- log belongs to one life of a master (its replication ID, which every failover changes), and the first call in the next
-- life begins a new epoch that goes on counting: <new epoch>-<seq + 1>. A consumer group without consumers keeps both
-- inside the stream, where slots that move and failovers cannot part them: its name is the life, its last-delivered-id
-- where the log stood when that life took it over. Up to there both epochs are the same log, behind it they are not.
-- Of the lives before the last three more such links are kept, each in a group named after the epoch that it led to.
-- Why a position of any of them holds as far as its own link says: an epoch counts on from where it began, so the next
-- link's seq is not below this one's; what is common to the first two is then common to all three. A link leads only to
-- the epoch that it names, so one that was left over from before a loss of data is never followed.
--
-- Redis runs a function whole or not at all, and nothing else in between: storing and publishing are one step,
-- and so are a position and the entries that belong to it.

-- Servers of different versions share one Redis while they are replaced one by one: the newer library stays.
local VERSION = 6

local DEFAULT_SIZE = 300
local DEFAULT_TTL_MS = 86400000
local DEFAULT_IDEMPOTENCY_MS = 300000
local HOUR_MS = 3600000
-- From this size on trimming is left to whole nodes of the stream (100 entries by default), which costs less.
local APPROXIMATE_FROM = 100

local function now_ms(time)
  return string.format('%d%03d', tonumber(time[1]), math.floor(tonumber(time[2]) / 1000))
end

-- A new epoch, larger than `after` even when the clock went back.
local function new_epoch(time, after)
  local epoch = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
  -- Microseconds stay below 2^53 until the year 2255: exact as a Lua number.
  if after and tonumber(epoch) <= tonumber(after) then
    epoch = string.format('%.0f', tonumber(after) + 1)
  end
  return epoch
end

-- Epoch and seq where the log of `key` stands, as strings; nil when there is no log.
local function position(key)
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then
    if string.find(info.err, 'no such key', 1, true) then return nil, nil, nil end
    return nil, nil, info
  end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local epoch, seq = string.match(info[i + 1], '^(%d+)-(%d+)$')
      return epoch, seq, nil
    end
  end
  return nil, nil, redis.error_reply('ERR XINFO STREAM names no last-generated-id')
end

-- Begins an epoch without an entry: the stream stands at `<epoch>-0`, and what it had is gone.
local function begin_epoch(key, epoch)
  redis.call('XADD', key, 'MAXLEN', 0, epoch .. '-0', 't', '0')
end

local LIFE = 'life:'
local WAS = 'was:'
-- Epochs before the present one whose positions are still known.
local LINKS_MAX = 4
local LIFE_LOOKS_US = 10000
local CONFIRMED_MAX = 20000

-- This process as master, as far as it has looked. A process that was replica meanwhile cannot have looked 10 ms ago: a
-- failover, a synchronization and another failover lie between.
local life, life_is_first, life_looked_us = nil, false, 0
-- Logs known to be of this life, by key, with their epoch.
local confirmed, confirmed_count = {}, 0

local function look_at_life(time)
  local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
  if life and now_us >= life_looked_us and now_us - life_looked_us < LIFE_LOOKS_US then return end
  local info = redis.call('INFO', 'replication')
  local current = string.match(info, 'master_replid:(%x+)')
  if current ~= life then confirmed, confirmed_count = {}, 0 end
  life, life_looked_us = current, now_us
  -- No predecessor: it was never promoted, so nobody else can have given out what it lacks.
  life_is_first = string.match(info, 'master_replid2:(%x+)') == string.rep('0', 40)
end

local function confirm(key, epoch)
  if confirmed_count >= CONFIRMED_MAX then confirmed, confirmed_count = {}, 0 end
  if confirmed[key] == nil then confirmed_count = confirmed_count + 1 end
  confirmed[key] = epoch
end

-- Of `key`: the life it belongs to, where it stood when that life took it over (nil where it began in it), and the
-- links before that one by the epochs that they led to: { epoch, seq }.
local function life_of(key)
  local life_name, link_epoch, link_seq
  local was = {}
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local name, id
    for i = 1, #group, 2 do
      if group[i] == 'name' then name = group[i + 1] end
      if group[i] == 'last-delivered-id' then id = group[i + 1] end
    end
    local epoch, seq = string.match(id, '^(%d+)-(%d+)$')
    if string.sub(name, 1, #LIFE) == LIFE then
      life_name, link_epoch, link_seq = string.sub(name, #LIFE + 1), epoch, seq
    elseif string.sub(name, 1, #WAS) == WAS then
      was[string.sub(name, #WAS + 1)] = { epoch, seq }
    end
  end
  return life_name, link_epoch, link_seq, was
end

-- The epochs before the one in which the log of `key` is, newest first, each with the last seq up to which it is the
-- same log: { epoch, seq }.
local function links_of(key)
  local _, epoch, seq, was = life_of(key)
  local links = {}
  while epoch and epoch ~= '0' and #links < LINKS_MAX do
    links[#links + 1] = { epoch, seq }
    local before = was[epoch] or {}
    epoch, seq = before[1], before[2]
  end
  return links, was
end

-- Forgets the links that lead nowhere any more.
local function forget_links(key)
  local links, was = links_of(key)
  -- The newest is the life's own.
  for i = 2, #links do was[links[i - 1][1]] = nil end
  for epoch in pairs(was) do redis.call('XGROUP', 'DESTROY', key, WAS .. epoch) end
end

-- The log belongs to this life from now on. `link` is where it stood before.
local function take_over(key, former, link)
  if former then redis.call('XGROUP', 'DESTROY', key, LIFE .. former) end
  redis.call('XGROUP', 'CREATE', key, LIFE .. life, link)
end

-- Begins an epoch larger than `after` that counts on from `seq`: what the log has stays. Returns it.
local function count_on(key, seq, time, after)
  local epoch = new_epoch(time, after)
  local id = epoch .. '-' .. seq
  redis.call('XADD', key, id, 't', '0')
  redis.call('XDEL', key, id)
  return epoch
end

-- Makes sure that the log, which stands at epoch-seq, is of this life. Returns its epoch.
local function of_this_life(key, epoch, seq, time)
  look_at_life(time)
  if confirmed[key] == epoch then return epoch end
  local former, link_epoch, link_seq = life_of(key)
  if former ~= life then
    -- A log without a life was made by an older library. A first life takes over what moved in with its slot or what
    -- was read from disk: there it stands where whoever answered for it last left it.
    if former == nil or life_is_first then
      take_over(key, former, former and link_epoch .. '-' .. link_seq or '0-0')
    else
      -- Where the clock is behind, two lives after the same one must not choose the same number.
      local link = epoch .. '-' .. seq
      -- Should it be there already, it is the same: one link alone leads to an epoch.
      if link_epoch ~= '0' then redis.pcall('XGROUP', 'CREATE', key, WAS .. epoch, link_epoch .. '-' .. link_seq) end
      epoch = count_on(key, seq, time, tonumber(epoch) + tonumber(string.sub(life, 1, 5), 16))
      take_over(key, former, link)
      forget_links(key)
    end
  end
  confirm(key, epoch)
  return epoch
end

-- The log begins now, in this life.
local function born(key, epoch, time)
  look_at_life(time)
  local former = life_of(key)
  take_over(key, former, '0-0')
  forget_links(key)
  confirm(key, epoch)
end

-- Whether this server is a node of a cluster. Known after the first call: no library can ask while it is loaded.
local in_cluster

-- In a cluster channel and key carry the hash tag of the topic's partition, `tape:{p17}:`. Without it the message
-- would be stored where no server looks, and published where nobody listens: a plain PUBLISH reaches no SSUBSCRIBE.
-- Returns true or false, nil where the tag is missing.
local function is_sharded(prefix)
  if string.find(prefix, '{p%d+}:$') then return true end
  if in_cluster == nil then in_cluster = type(redis.pcall('CLUSTER', 'KEYSLOT', 'a')) == 'number' end
  if in_cluster then return nil end
  return false
end

local function whole_number(text, default, least)
  if text == nil or text == '' then return default end
  local number = tonumber(text)
  if number == nil or number < least or number ~= math.floor(number) then return nil end
  return number
end

-- FCALL tape_publish 1 <prefix>log:<topic> JSON [SIZE] [TTL_MS] [ORIGIN] [IDEMPOTENCY_MS] [CHECKED]
-- FCALL tape_publish 2 <prefix>log:<topic> <idempotency key> JSON ...
-- Appends, publishes to `<prefix><topic>` (in a cluster by SPUBLISH), returns `epoch-seq`. With an idempotency key that was used within its
-- time: returns the position of that time and does nothing else. CHECKED = 1: the caller knows that JSON is JSON.
local function tape_publish(keys, args)
  local key, idempotency_key = keys[1], keys[2]
  if key == nil then return redis.error_reply('ERR tape_publish: the key of the log is missing') end
  local prefix, topic = string.match(key, '^(.*)log:([^:]+)$')
  if topic == nil then return redis.error_reply('ERR tape_publish: the key is <prefix>log:<topic>') end
  local sharded = is_sharded(prefix)
  if sharded == nil then
    return redis.error_reply('ERR tape_publish: in a cluster the key is <prefix>{p<partition>}:log:<topic>, as '
      .. 'tapecast topic-key prints it')
  end
  local data = args[1]
  if data == nil then return redis.error_reply('ERR tape_publish: the message is missing') end
  local size = whole_number(args[2], DEFAULT_SIZE, 1)
  if size == nil then return redis.error_reply('ERR tape_publish: SIZE is a whole number from 1') end
  local ttl_ms = whole_number(args[3], DEFAULT_TTL_MS, 1)
  if ttl_ms == nil then return redis.error_reply('ERR tape_publish: TTL_MS is a whole number from 1') end
  local origin = args[4] or ''
  if args[6] ~= '1' then
    -- Catches the slip of a hand. What cjson lets through (NaN, bad UTF-8) the server drops and counts.
    if not pcall(cjson.decode, data) then
      return redis.error_reply('ERR tape_publish: the message is not JSON')
    end
  end

  if idempotency_key then
    local before = redis.call('GET', idempotency_key)
    if before then return before end
  end

  local time = redis.call('TIME')
  local epoch, seq, problem = position(key)
  if problem then return problem end
  if epoch then epoch = of_this_life(key, epoch, seq, time) end
  local id = (epoch or new_epoch(time)) .. (epoch and '-*' or '-1')
  local fields = { 't', now_ms(time), 'd', data }
  if origin ~= '' then
    fields[5] = 'o'
    fields[6] = origin
  end
  id = redis.call('XADD', key, 'MAXLEN', size < APPROXIMATE_FROM and '=' or '~', size, id, unpack(fields))
  if not epoch then born(key, string.match(id, '^%d+'), time) end

  -- The log outlives its entries, or an idle topic would change its epoch for nothing. A publisher with a shorter
  -- TTL_MS shortens nobody's log (GT); on a key without expiry GT never sets one.
  local keep_ms = 2 * ttl_ms + HOUR_MS
  if epoch then
    redis.call('PEXPIRE', key, keep_ms, 'GT')
  else
    redis.call('PEXPIRE', key, keep_ms)
  end
  if idempotency_key then
    redis.call('SET', idempotency_key, id, 'PX', whole_number(args[5], DEFAULT_IDEMPOTENCY_MS, 1))
  end

  local sender = origin ~= '' and '~' .. origin or ''
  redis.call(sharded and 'SPUBLISH' or 'PUBLISH', prefix .. topic, '@' .. id .. sender .. ' ' .. data)
  return id
end

local function append(reply, entry, oldest_ms)
  local fields = entry[2]
  -- What somebody else XADDed is handed on as empty data, which is no JSON: dropped and counted by the reader. An error
  -- here would fail every read of the log, for as long as the entry stays.
  local stored_ms = fields[1] == 't' and fields[3] == 'd' and tonumber(fields[2])
  local ours = stored_ms ~= false and stored_ms ~= nil
  if ours and stored_ms <= oldest_ms then return end
  reply[#reply + 1] = string.match(entry[1], '-(%d+)$')
  reply[#reply + 1] = ours and fields[4] or ''
  reply[#reply + 1] = ours and fields[6] or ''
end

-- FCALL tape_read 1 <prefix>log:<topic> KEEP_MS LIMIT TTL_MS WHO [EPOCH SEQ [LINKED]]
-- Where the log stands and a part of it, in one step: { epoch, seq, seq, data, origin, seq, data, origin, ... },
-- oldest first. A topic without a log gets one, so that its epoch is known before its first publication; it expires
-- after KEEP_MS unless it is published to or touched. Entries older than TTL_MS are left out (0: none is). WHO:
--   newest   the newest LIMIT entries
--   since    the oldest LIMIT entries after EPOCH-SEQ; if that is of another life of the log, the newest LIMIT
--   repair   the oldest LIMIT entries after EPOCH-SEQ; if that is of another life of the log, the oldest of all
--   jump     the newest LIMIT entries, for a reader that stands at EPOCH-SEQ
-- `repair` and `jump` come from a reader that has seen EPOCH-SEQ in this log. A log that knows less than its reader
-- has lost data (a failover, a disk that was not written in time, a restored backup): a new epoch begins, which
-- counts on from what is there, or it would give the same numbers out twice.
-- LINKED = 1: behind epoch and seq comes the last seq that EPOCH and the log's epoch have in common; -1 when EPOCH-SEQ is
-- not of what they have in common, 9007199254740991 where both are the same. The entries after it then follow EPOCH-SEQ.
-- LINKED = 2: behind epoch and seq come the epoch before this one and the last seq that both have in common; 0 and 0 when
-- there was none. (For servers of before version 6.)
-- LINKED = 3: behind epoch and seq come all epochs before this one that are known and their last seqs in common, newest
-- first: 'epoch-seq,epoch-seq'; '' when there is none.
local function tape_read(keys, args)
  local key, keep_ms, limit, ttl_ms, who = keys[1], tonumber(args[1]), args[2], tonumber(args[3]), args[4]
  local since_epoch, since_seq = tonumber(args[5]), tonumber(args[6])
  local has_seen = who == 'repair' or who == 'jump'
  local time = redis.call('TIME')
  local epoch, seq, problem = position(key)
  if problem then return problem end
  if epoch == nil then
    epoch, seq = new_epoch(time, has_seen and since_epoch), '0'
    begin_epoch(key, epoch)
    born(key, epoch, time)
    redis.call('PEXPIRE', key, keep_ms)
  else
    epoch = of_this_life(key, epoch, seq, time)
    local behind = has_seen and tonumber(epoch) - since_epoch or 1
    if behind < 0 or (behind == 0 and tonumber(seq) < since_seq) then
      -- Linked to nothing: what stands there now may not be what its readers have seen at that place.
      epoch = count_on(key, seq, time, math.max(since_epoch, tonumber(epoch)))
      born(key, epoch, time)
    end
  end

  local common_seq = -1
  if since_epoch == tonumber(epoch) then
    if since_seq <= tonumber(seq) then common_seq = 9007199254740991 end
  elseif since_epoch and args[7] == '1' then
    for _, link in ipairs((links_of(key))) do
      if tonumber(link[1]) == since_epoch and since_seq <= tonumber(link[2]) then common_seq = tonumber(link[2]) end
    end
  end
  local same_life = common_seq >= 0

  local reply = { epoch, seq }
  if args[7] == '1' then reply[3] = string.format('%.0f', common_seq) end
  if args[7] == '2' then
    local _, link_epoch, link_seq = life_of(key)
    reply[3], reply[4] = link_epoch or '0', link_seq or '0'
  elseif args[7] == '3' then
    local links = links_of(key)
    for i, link in ipairs(links) do links[i] = link[1] .. '-' .. link[2] end
    reply[3] = table.concat(links, ',')
  end
  local oldest_ms = ttl_ms > 0 and tonumber(now_ms(time)) - ttl_ms or -1
  if who == 'repair' or (who == 'since' and same_life) then
    local first = same_life and args[5] .. '-' .. string.format('%.0f', since_seq + 1) or epoch .. '-1'
    for _, entry in ipairs(redis.call('XRANGE', key, first, '+', 'COUNT', limit)) do
      append(reply, entry, oldest_ms)
    end
    return reply
  end
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', limit)
  for i = #newest, 1, -1 do append(reply, newest[i], oldest_ms) end
  return reply
end

redis.register_function('tape_publish', tape_publish)
redis.register_function('tape_read', tape_read)
redis.register_function{
  function_name = 'tape_version',
  callback = function() return VERSION end,
  flags = { 'no-writes' },
}
