// The subscribers of the comparison: WebSocket clients in one epoll thread, cheaper than any server they measure.
//
// It counts publications by their marker inside text messages, however many a message carries, takes their one-way
// latency from a CLOCK_MONOTONIC time in them, and checks their numbers for each connection and topic (publisher.cpp
// writes `{"t":NANOSECONDS,"s":TOPIC,"n":NUMBER,…`). The CPU time of the servers is read from /proc at the very
// moments at which counting begins and ends.
//
// It talks to the runner in lines. It connects, prints {"event":"open",…}; on each `go` it warms up, counts, prints
// {"event":"result",…}; it ends when its standard input does, so it cannot outlive the runner.
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>
#ifdef WITH_ZLIB
#include <zlib.h>
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static const char marker[] = "{\"t\":";
static const size_t markerBytes = sizeof marker - 1;

static uint64_t nowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

struct Options {
  int port = 0, connections = 100, inFlight = 64, sources = 1, stalled = 0, sample = 1;
  std::string path = "/", header, send, topicPrefix;
  int topicCount = 0, topicsPer = 0;
  double warmupSec = 1, durationSec = 5, openWaitSec = 30, openSettleSec = 0;
  // The opening is over when each connection has its first publication, not just its 101.
  bool untilFirst = false;
  std::vector<int> servers, apart;
};
static Options options;

// Log-linear: exact below 128 us, then 128 steps for each power of two, so within 1 %.
struct Histogram {
  static const int stepBits = 7;
  std::vector<uint64_t> counts = std::vector<uint64_t>((65 - stepBits) << stepBits);
  uint64_t total = 0, max = 0;
  static size_t place(uint64_t value) {
    if (value < (1u << stepBits)) return value;
    int shift = 63 - __builtin_clzll(value) - stepBits;
    return ((size_t)(shift + 1) << stepBits) + (value >> shift) - (1u << stepBits);
  }
  static uint64_t valueAt(size_t place) {
    size_t shift = place >> stepBits;
    uint64_t low = place & ((1u << stepBits) - 1);
    return shift == 0 ? low : (low + (1u << stepBits)) << (shift - 1);
  }
  void add(uint64_t value) {
    counts[place(value)]++;
    total++;
    if (value > max) max = value;
  }
  uint64_t percentile(double share) const {
    uint64_t left = (uint64_t)(share * total);
    for (size_t i = 0; i < counts.size(); i++) {
      if (left < counts[i]) return valueAt(i);
      left -= counts[i];
    }
    return max;
  }
};

struct Usage {
  double userSec = 0, systemSec = 0;
  long rssKb = 0;
};
static Usage usageOf(const std::vector<int>& pids) {
  Usage sum;
  double ticksPerSec = sysconf(_SC_CLK_TCK);
  for (int pid : pids) {
    char text[4096];
    snprintf(text, sizeof text, "/proc/%d/stat", pid);
    FILE* file = fopen(text, "r");
    if (!file) continue;
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = 0;
    // The name in parentheses may contain anything, so count from its end.
    const char* rest = strrchr(text, ')');
    unsigned long user, system;
    long pages;
    if (rest && sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                       &user, &system, &pages) == 3) {
      sum.userSec += user / ticksPerSec;
      sum.systemSec += system / ticksPerSec;
      sum.rssKb += pages * (sysconf(_SC_PAGESIZE) / 1024);
    }
  }
  return sum;
}

enum State : uint8_t { connecting, shaking, open_, dead };
struct Connection {
  int fd = -1, index = 0;
  State state = connecting;
  bool hasFirst = false, keepsContext = false;
  bool isPassedOver = false;     // a compressed message was not looked into: its numbers are not known
  std::string rest;              // of a frame that is not whole yet
  std::vector<uint32_t> numbers; // newest number of each of its topics
#ifdef WITH_ZLIB
  z_stream* inflater = nullptr;
#endif
};
static std::vector<Connection> connections;

static bool isCounting = false;
static uint64_t messages, frames, compressedFrames, bytes, reads, sampledMessages, sampledBytes;
static uint64_t missing, disordered, openCount, deadCount, closeFrames, firstCount;
static Histogram latencyUs;

// One of each `sample` in a row, not always the same: topics go by the index too.
static bool isSampled(const Connection& c) { return (c.index + c.index / options.sample) % options.sample == 0; }

static std::string maskedFrame(int opcode, const std::string& payload) {
  std::string frame(1, (char)(0x80 | opcode));
  if (payload.size() < 126) frame += (char)(0x80 | payload.size());
  else if (payload.size() < 65536) { frame += (char)(0x80 | 126); frame += (char)(payload.size() >> 8); frame += (char)payload.size(); }
  else { frame += (char)(0x80 | 127); for (int i = 7; i >= 0; i--) frame += (char)((uint64_t)payload.size() >> (8 * i)); }
  const char key[4] = {1, 2, 3, 4};
  frame.append(key, 4);
  for (size_t i = 0; i < payload.size(); i++) frame += (char)(payload[i] ^ key[i & 3]);
  return frame;
}

static int firstTopic(const Connection& c) { return (int)((long)c.index * options.topicsPer % options.topicCount); }

// %d: the connection's index; %T: its topics by commas; %N: the same as SUB lines of NATS; %C: as commands of Centrifugo.
static std::string expanded(std::string text, const Connection& c) {
  std::string commas, subs, commands;
  for (int k = 0; k < options.topicsPer; k++) {
    std::string name = options.topicPrefix + std::to_string((firstTopic(c) + k) % options.topicCount);
    commas += (k ? "," : "") + name;
    commands += "\n{\"id\":" + std::to_string(k + 2) + ",\"subscribe\":{\"channel\":\"" + name + "\"}}";
    subs += "SUB " + name + " " + std::to_string(k + 1) + "\r\n";
  }
  const std::pair<const char*, std::string> all[] = {{"%d", std::to_string(c.index)}, {"%T", commas}, {"%N", subs}, {"%C", commands}};
  for (auto& [what, with] : all)
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, 2, with);
  return text;
}

static uint64_t digits(const char*& p, const char* end) {
  uint64_t value = 0;
  while (p < end && *p >= '0' && *p <= '9') value = value * 10 + (*p++ - '0');
  return value;
}

static void checkNumber(Connection& c, uint64_t topic, uint64_t number) {
  int slot = (int)topic - firstTopic(c);
  if (slot < 0) slot += options.topicCount;
  if (slot >= options.topicsPer) { disordered++; return; } // not one of its topics at all
  uint32_t& newest = c.numbers[slot];
  if (newest != 0) {
    if (number <= newest) disordered++;
    else missing += number - newest - 1;
  }
  newest = (uint32_t)number;
}

static void takeText(Connection& c, const char* p, const char* end, uint64_t now) {
  while ((p = (const char*)memchr(p, '{', end - p))) {
    if ((size_t)(end - p) < markerBytes || memcmp(p, marker, markerBytes)) { p++; continue; }
    p += markerBytes;
    uint64_t sent = digits(p, end), topic = 0, number = 0;
    if (end - p > 5 && !memcmp(p, ",\"s\":", 5)) { p += 5; topic = digits(p, end); }
    if (end - p > 5 && !memcmp(p, ",\"n\":", 5)) { p += 5; number = digits(p, end); }
    if (number && !c.isPassedOver) checkNumber(c, topic, number);
    if (!c.hasFirst) { c.hasFirst = true; firstCount++; }
    if (!isCounting) continue;
    messages++;
    if (isSampled(c)) sampledMessages++;
    latencyUs.add(now > sent ? (now - sent) / 1000 : 0);
  }
}

// A compressed message of a sampled connection; of the others only the bytes are counted.
static void takeCompressed(Connection& c, const char* payload, size_t length, uint64_t now) {
  if (isCounting) compressedFrames++;
#ifdef WITH_ZLIB
  if (!isSampled(c)) {
    c.isPassedOver = true;
    if (!c.hasFirst) { c.hasFirst = true; firstCount++; }
    return;
  }
  if (!c.inflater) { c.inflater = new z_stream(); inflateInit2(c.inflater, -15); }
  static std::string plain(1 << 22, 0);
  // RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
  std::string input(payload, length);
  input.append("\x00\x00\xff\xff", 4);
  c.inflater->next_in = (Bytef*)input.data(); c.inflater->avail_in = input.size();
  c.inflater->next_out = (Bytef*)plain.data(); c.inflater->avail_out = plain.size();
  int status = inflate(c.inflater, Z_SYNC_FLUSH);
  if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END) { fprintf(stderr, "corrupt deflate data\n"); exit(1); }
  takeText(c, plain.data(), plain.data() + (plain.size() - c.inflater->avail_out), now);
  if (!c.keepsContext || status == Z_STREAM_END) inflateReset(c.inflater);
#else
  (void)c; (void)payload; (void)length; (void)now;
#endif
}

static void sendAll(Connection& c, const std::string& what) {
  if (write(c.fd, what.data(), what.size()) != (ssize_t)what.size()) { perror("write"); exit(1); }
}

static void takeFrame(Connection& c, uint8_t first, const char* payload, size_t length, uint64_t now) {
  int opcode = first & 15;
  if (opcode == 9) { sendAll(c, maskedFrame(10, std::string(payload, length))); return; }
  if (opcode == 8) { closeFrames++; return; }
  if (isCounting) frames++;
  // NATS and Centrifugo expect an answer to their own pings, which they do not send in the time of a run.
  if (first & 0x40) takeCompressed(c, payload, length, now);
  else takeText(c, payload, payload + length, now);
}

// Returns the bytes used, -1 when the handshake was refused.
static ssize_t takeHandshake(Connection& c, const char* p, size_t length) {
  const char* end = (const char*)memmem(p, length, "\r\n\r\n", 4);
  if (!end) return 0;
  if (length < 12 || memcmp(p, "HTTP/1.1 101", 12)) {
    static int told = 0;
    if (told++ < 3) fprintf(stderr, "handshake refused: %.*s\n", (int)std::min<size_t>(40, length), p);
    return -1;
  }
  c.keepsContext = !memmem(p, end - p, "server_no_context_takeover", 26);
  c.state = open_;
  openCount++;
  if (!options.send.empty()) sendAll(c, maskedFrame(1, expanded(options.send, c)));
  return end + 4 - p;
}

static char readBuffer[1 << 18];
static bool takeRead(Connection& c) {
  for (int k = 0; k < 4; k++) {
    ssize_t count = read(c.fd, readBuffer, sizeof readBuffer);
    if (count == 0) return false;
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    uint64_t now = nowNs();
    if (isCounting) { bytes += count; reads++; if (isSampled(c)) sampledBytes += count; }
    const char* p = readBuffer;
    size_t length = count, at = 0;
    if (!c.rest.empty()) { c.rest.append(readBuffer, count); p = c.rest.data(); length = c.rest.size(); }
    if (c.state == shaking) {
      ssize_t used = takeHandshake(c, p, length);
      if (used < 0) return false;
      at = used;
    }
    while (c.state == open_ && length - at >= 2) {
      const uint8_t* q = (const uint8_t*)p + at;
      uint64_t payload = q[1] & 127;
      size_t head = payload == 126 ? 4 : payload == 127 ? 10 : 2;
      if (length - at < head) break;
      if (head > 2) { payload = 0; for (size_t i = 2; i < head; i++) payload = payload << 8 | q[i]; }
      if (length - at < head + payload) break;
      takeFrame(c, q[0], p + at + head, payload, now);
      at += head + payload;
    }
    if (at < length) { std::string rest(p + at, length - at); c.rest.swap(rest); }
    else if (!c.rest.empty()) std::string().swap(c.rest);
    if (count < (ssize_t)sizeof readBuffer) return true;
  }
  return true;
}

static void startConnection(int epoll, int index) {
  Connection& c = connections[index];
  c.index = index;
  c.numbers.assign(options.topicsPer, 0);
  c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c.fd < 0) { perror("socket"); exit(1); }
  int one = 1, small = 4096;
  setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (index < options.stalled) setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (options.sources > 1) {
    address.sin_addr.s_addr = htonl(0x7f000001 + index % options.sources);
    setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c.fd, (sockaddr*)&address, sizeof address)) { perror("bind"); exit(1); }
  }
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c.fd, (sockaddr*)&address, sizeof address) && errno != EINPROGRESS) { perror("connect"); exit(1); }
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.u32 = index;
  epoll_ctl(epoll, EPOLL_CTL_ADD, c.fd, &event);
}

static void drop(Connection& c) {
  close(c.fd);
  c.fd = -1;
  c.state = dead;
  deadCount++;
}

static void takeEvent(int epoll, const epoll_event& event) {
  Connection& c = connections[event.data.u32];
  if (c.fd < 0) return;
  if (c.state == connecting) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) { drop(c); return; }
    c.state = shaking;
    sendAll(c, "GET " + expanded(options.path, c) + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(options.port) +
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Sec-WebSocket-Version: 13\r\n" + options.header + "\r\n");
    epoll_event next{};
    next.events = EPOLLIN;
    next.data.u32 = c.index;
    epoll_ctl(epoll, EPOLL_CTL_MOD, c.fd, &next);
    return;
  }
  if (!takeRead(c)) { drop(c); return; }
  // A frozen reader: its handshake is done, and it never reads again.
  if (c.index < options.stalled && c.state == open_) epoll_ctl(epoll, EPOLL_CTL_DEL, c.fd, nullptr);
}

static std::vector<int> numbersOf(const char* text) {
  std::vector<int> numbers;
  for (const char* p = text; *p; p += *p == ',') numbers.push_back((int)strtol(p, (char**)&p, 10));
  return numbers;
}

static void readOptions(int count, char** arguments) {
  for (int i = 1; i < count; i += 2) {
    std::string name = arguments[i];
    const char* value = i + 1 < count ? arguments[i + 1] : "";
    if (name == "--port") options.port = atoi(value);
    else if (name == "--path") options.path = value;
    else if (name == "--connections") options.connections = atoi(value);
    else if (name == "--in-flight") options.inFlight = atoi(value);
    else if (name == "--sources") options.sources = atoi(value);
    else if (name == "--stalled") options.stalled = atoi(value);
    else if (name == "--sample") options.sample = atoi(value);
    else if (name == "--header") options.header += std::string(value) + "\r\n";
    else if (name == "--send") options.send = value;
    else if (name == "--warmup") options.warmupSec = atof(value);
    else if (name == "--duration") options.durationSec = atof(value);
    else if (name == "--open-wait") options.openWaitSec = atof(value);
    else if (name == "--open-settle") options.openSettleSec = atof(value);
    else if (name == "--until-first") options.untilFirst = atoi(value);
    else if (name == "--servers") options.servers = numbersOf(value);
    else if (name == "--apart") options.apart = numbersOf(value);
    else if (name == "--topics") {
      char prefix[128];
      if (sscanf(value, "%127[^,],%d,%d", prefix, &options.topicCount, &options.topicsPer) != 3) exit(2);
      options.topicPrefix = prefix;
    } else { fprintf(stderr, "unknown option %s\n", name.c_str()); exit(2); }
  }
}

static void printOpen(double seconds, const Usage& before, const Usage& after) {
  printf("{\"event\":\"open\",\"open\":%lu,\"dead\":%lu,\"seconds\":%.4f,\"serverCpuSec\":%.2f,\"rssBeforeKb\":%ld,\"rssKb\":%ld}\n",
         openCount, deadCount, seconds, after.userSec + after.systemSec - before.userSec - before.systemSec, before.rssKb, after.rssKb);
  fflush(stdout);
}

static void printResult(double seconds, const Usage& a, const Usage& b, const Usage& apartA, const Usage& apartB) {
  rusage own;
  getrusage(RUSAGE_SELF, &own);
  double ownSec = own.ru_utime.tv_sec + own.ru_utime.tv_usec / 1e6 + own.ru_stime.tv_sec + own.ru_stime.tv_usec / 1e6;
  int sampled = (options.connections + options.sample - 1) / options.sample;
  printf("{\"event\":\"result\",\"seconds\":%.4f,\"open\":%lu,\"dead\":%lu,\"closeFrames\":%lu,\"messages\":%lu,\"frames\":%lu,"
         "\"compressedFrames\":%lu,\"reads\":%lu,\"bytes\":%lu,\"sampledConnections\":%d,\"sampledMessages\":%lu,\"sampledBytes\":%lu,"
         "\"missing\":%lu,\"disordered\":%lu,\"p50Us\":%lu,\"p99Us\":%lu,\"p999Us\":%lu,\"maxUs\":%lu,"
         "\"serverUserSec\":%.2f,\"serverSystemSec\":%.2f,\"serverRssKb\":%ld,\"apartCpuSec\":%.2f,\"swarmCpuSec\":%.2f}\n",
         seconds, openCount, deadCount, closeFrames, messages, frames, compressedFrames, reads, bytes, sampled, sampledMessages,
         sampledBytes, missing, disordered, latencyUs.percentile(.5), latencyUs.percentile(.99), latencyUs.percentile(.999),
         latencyUs.max, b.userSec - a.userSec, b.systemSec - a.systemSec, b.rssKb,
         apartB.userSec + apartB.systemSec - apartA.userSec - apartA.systemSec, ownSec);
  fflush(stdout);
}

int main(int count, char** arguments) {
  readOptions(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  connections.resize(options.connections);
  int epoll = epoll_create1(0);
  const uint32_t inputMark = ~0u;
  epoll_event input{};
  input.events = EPOLLIN;
  input.data.u32 = inputMark;
  epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input);

  enum { opening, settling, waiting, warming, counting } phase = opening;
  Usage before = usageOf(options.servers), atStart, apartAtStart;
  uint64_t begun = nowNs(), since = begun;
  int started = 0;
  double openSec = 0;
  epoll_event events[1024];
  auto passed = [&](double seconds, uint64_t now) { return now - since >= (uint64_t)(seconds * 1e9); };
  for (;;) {
    while (started < options.connections && started - (int)openCount - (int)deadCount < options.inFlight) startConnection(epoll, started++);
    int ready = epoll_wait(epoll, events, 1024, phase == waiting ? 200 : 5);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 != inputMark) { takeEvent(epoll, events[i]); continue; }
      char line[64];
      if (read(0, line, sizeof line) <= 0) return 0;
      if (phase == waiting) { phase = warming; since = nowNs(); }
    }
    uint64_t now = nowNs();
    uint64_t there = options.untilFirst ? firstCount : openCount;
    if (phase == opening && (there + deadCount >= (uint64_t)options.connections || passed(options.openWaitSec, now))) {
      openSec = (now - begun) / 1e9;
      phase = settling;
      since = now;
    }
    if (phase == settling && passed(options.openSettleSec, now)) {
      printOpen(openSec, before, usageOf(options.servers));
      phase = waiting;
    }
    if (phase == warming && passed(options.warmupSec, now)) {
      atStart = usageOf(options.servers);
      apartAtStart = usageOf(options.apart);
      since = nowNs();
      messages = frames = compressedFrames = bytes = reads = sampledMessages = sampledBytes = 0;
      latencyUs = Histogram();
      isCounting = true;
      phase = counting;
    } else if (phase == counting && passed(options.durationSec, now)) {
      Usage atEnd = usageOf(options.servers), apartAtEnd = usageOf(options.apart);
      isCounting = false;
      printResult((now - since) / 1e9, atStart, atEnd, apartAtStart, apartAtEnd);
      phase = waiting;
    }
  }
}
