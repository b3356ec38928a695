#!lua name=tapecast
-- The Redis Functions behind topics with history. The server loads this library; any client may call it.
--
-- A topic's log is one stream, `<prefix>log:<topic>`. The ID of an entry is its position: the first half is the
-- epoch (Redis TIME in microseconds when the log began), the second half the publication's seq, 1, 2, 3 ...
-- `last-generated-id` survives trimming and deletion, so a stream that was emptied goes on counting, and one that
-- was lost or has expired begins a new epoch by itself. An entry's fields are, in this order: t (ms since 1970),
-- d (the JSON as published), and o (id of the publishing connection) if there is one.
--
-- Redis runs a function whole or not at all, and nothing else in between: storing and publishing are one step,
-- and so are a position and the entries that belong to it.

-- Servers of different versions share one Redis while they are replaced one by one: the newer library stays.
local VERSION = 3

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

-- Begins an epoch without an entry: the stream stands at `<epoch>-0`. Entries of an older epoch stay and are ignored.
local function begin_epoch(key, epoch)
  local id = epoch .. '-0'
  redis.call('XADD', key, id, 't', '0')
  redis.call('XDEL', key, id)
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
  local epoch, _, problem = position(key)
  if problem then return problem end
  local id = (epoch or new_epoch(time)) .. (epoch and '-*' or '-1')
  local fields = { 't', now_ms(time), 'd', data }
  if origin ~= '' then
    fields[5] = 'o'
    fields[6] = origin
  end
  id = redis.call('XADD', key, 'MAXLEN', size < APPROXIMATE_FROM and '=' or '~', size, id, unpack(fields))

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

-- FCALL tape_read 1 <prefix>log:<topic> KEEP_MS LIMIT TTL_MS WHO [EPOCH SEQ]
-- Where the log stands and a part of it, in one step: { epoch, seq, seq, data, origin, seq, data, origin, ... },
-- oldest first. A topic without a log gets one, so that its epoch is known before its first publication; it expires
-- after KEEP_MS unless it is published to or touched. Entries older than TTL_MS are left out (0: none is). WHO:
--   newest   the newest LIMIT entries
--   since    the oldest LIMIT entries after EPOCH-SEQ; if that is of another life of the log, the newest LIMIT
--   repair   the oldest LIMIT entries after EPOCH-SEQ; if that is of another life of the log, the oldest of all
--   jump     the newest LIMIT entries, for a reader that stands at EPOCH-SEQ
-- `repair` and `jump` come from a reader that has seen EPOCH-SEQ in this log. A log that knows less than its reader
-- has lost data (a failover, a restored backup): a new epoch begins, or it would give the same numbers out twice.
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
    redis.call('PEXPIRE', key, keep_ms)
  elseif has_seen then
    local behind = tonumber(epoch) - since_epoch
    if behind < 0 or (behind == 0 and tonumber(seq) < since_seq) then
      epoch, seq = new_epoch(time, since_epoch), '0'
      begin_epoch(key, epoch)
    end
  end

  local reply = { epoch, seq }
  local oldest_ms = ttl_ms > 0 and tonumber(now_ms(time)) - ttl_ms or -1
  local same_life = since_epoch == tonumber(epoch) and since_seq <= tonumber(seq)
  if who == 'repair' or (who == 'since' and same_life) then
    local first = epoch .. '-' .. string.format('%.0f', same_life and since_seq + 1 or 1)
    for _, entry in ipairs(redis.call('XRANGE', key, first, '+', 'COUNT', limit)) do
      append(reply, entry, oldest_ms)
    end
    return reply
  end
  local newest = redis.call('XREVRANGE', key, '+', epoch .. '-1', 'COUNT', limit)
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
