// Publishes at a steady rate to Redis, NATS or over HTTP, the same messages in each case:
//   {"t":CLOCK_MONOTONIC nanoseconds,"s":topic,"n":number of this topic's message from 1,"price":…, and so on, "x":"filling"}
// A quote of about 170 bytes whose price wanders as prices do, because what is compressed must not be made of filling.
// Topics are drawn at random from a fixed seed. Every millisecond it sends what is due by then, in one write.
//   publisher redis|nats|http|centrifugo PORT RATE SECONDS TOPICS PREFIX FILLING_BYTES [HTTP_PATH, %s is the topic]
// On SIGTERM or after SECONDS it prints one JSON line: how many were sent, and how late the latest write was.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

static volatile sig_atomic_t isStopped = 0;

static uint64_t nowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t randomState = 88172645463325252ull;
static uint64_t randomBelow(uint64_t limit) { // xorshift64
  randomState ^= randomState << 13;
  randomState ^= randomState >> 7;
  randomState ^= randomState << 17;
  return randomState % limit;
}

static int connectTo(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (sockaddr*)&address, sizeof address)) { perror("connect"); exit(1); }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

int main(int count, char** arguments) {
  if (count < 8) { fprintf(stderr, "see the head of publisher.cpp\n"); return 2; }
  std::string mode = arguments[1], prefix = arguments[6], path = count > 8 ? arguments[8] : "/";
  double ratePerSec = atof(arguments[3]), seconds = atof(arguments[4]);
  int topics = atoi(arguments[5]);
  std::string filling(atoi(arguments[7]), 'x');
  signal(SIGPIPE, SIG_IGN);
  // Without SA_RESTART: a write that a saturated server blocks is interrupted.
  struct sigaction stop {};
  stop.sa_handler = [](int) { isStopped = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  int fd = connectTo(atoi(arguments[2]));
  std::thread([fd] { char answers[65536]; while (read(fd, answers, sizeof answers) > 0) {} }).detach();
  if (mode == "nats") { const char* hello = "CONNECT {\"verbose\":false}\r\n"; (void)!write(fd, hello, strlen(hello)); }

  std::vector<uint32_t> numbers(topics);
  std::vector<int> cents(topics), opens(topics);
  for (int i = 0; i < topics; i++) cents[i] = opens[i] = 500 + (int)randomBelow(50000);
  std::string extra = filling.empty() ? "" : ",\"x\":\"" + filling + "\"";
  std::vector<char> message(512 + filling.size());
  uint64_t begun = nowNs(), last = begun, sent = 0, latestNs = 0;
  double due = 0;
  std::string out;
  while (!isStopped && nowNs() - begun < (uint64_t)(seconds * 1e9)) {
    usleep(1000);
    uint64_t now = nowNs();
    due += (now - last) * ratePerSec / 1e9;
    if (sent && now - last > latestNs) latestNs = now - last;
    last = now;
    out.clear();
    for (; due >= 1; due--, sent++) {
      int topic = topics == 1 ? 0 : (int)randomBelow(topics);
      int price = cents[topic] = std::max(100, cents[topic] + (int)randomBelow(21) - 10), open = opens[topic];
      int length = snprintf(message.data(), message.size(),
                            "{\"t\":%lu,\"s\":%d,\"n\":%u,\"price\":%.2f,\"bid\":%.2f,\"ask\":%.2f,\"size\":%d,\"open\":%.2f,\"change\":%.2f,"
                            "\"volume\":%d,\"venue\":\"%c\"%s}",
                            nowNs(), topic, ++numbers[topic], price / 100., (price - 1) / 100., (price + 1) / 100.,
                            100 * (1 + (int)randomBelow(20)), open / 100., (price - open) / 100., 1000000 + (int)randomBelow(9000000),
                            "NPQZ"[randomBelow(4)], extra.c_str());
      std::string name = prefix + std::to_string(topic);
      char head[512];
      int headLength;
      if (mode == "redis") headLength = snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%d\r\n", name.size(), name.c_str(), length);
      else if (mode == "nats") headLength = snprintf(head, sizeof head, "PUB %s %d\r\n", name.c_str(), length);
      else if (mode == "centrifugo") {
        std::string body = "{\"channel\":\"" + name + "\",\"data\":" + std::string(message.data(), length) + "}";
        headLength = snprintf(head, sizeof head, "POST /api/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body.size());
        out.append(head, headLength);
        out += body;
        continue;
      } else {
        std::string target = path;
        size_t at = target.find("%s");
        if (at != std::string::npos) target.replace(at, 2, name);
        headLength = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", target.c_str(), length);
      }
      out.append(head, headLength);
      out.append(message.data(), length);
      if (mode != "http") out += "\r\n";
    }
    for (size_t at = 0; at < out.size() && !isStopped;) {
      ssize_t wrote = write(fd, out.data() + at, out.size() - at);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) { perror("write"); return 1; }
      at += wrote;
    }
  }
  rusage own;
  getrusage(RUSAGE_SELF, &own);
  printf("{\"event\":\"published\",\"sent\":%lu,\"seconds\":%.3f,\"latestMs\":%.1f,\"cpuSec\":%.2f}\n", sent, (nowNs() - begun) / 1e9, latestNs / 1e6,
         own.ru_utime.tv_sec + own.ru_utime.tv_usec / 1e6 + own.ru_stime.tv_sec + own.ru_stime.tv_usec / 1e6);
  fflush(stdout);
  _exit(0);
}
