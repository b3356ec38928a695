// The floor of the comparison: what fan-out over WebSocket costs in C with nothing around it. One epoll thread, topics
// by number, publications from Redis, no limits, no heartbeat, no close handshake: not a server anyone should run.
//   floor send|batch REDIS_PORT CHANNEL_PREFIX TOPICS
// send: one send() for each socket and message. batch: each socket's messages of a millisecond in one send().
// Prints `listening PORT`. Clients subscribe by the path: /ws?topics=tick.5,tick.6 (the digits after the last dot count).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { socketsMax = 1 << 18, backlogBytesMax = 64 << 20, headBytesMax = 16384 };

typedef struct {
  char* bytes;
  size_t length, capacity;
} Bytes;

typedef struct {
  int fd;
  int isOpen, isDirty, isBlocked;
  int* topics; // those it wants
  int topicCount;
  Bytes in, out;
} Client;

typedef struct {
  Client** clients;
  int count, capacity;
} Topic;

static Client* clients[socketsMax]; // by file descriptor
static Client** dirty;
static int dirtyCount;
static Topic* topics;
static int topicCount, epollFd, isBatching;

static void append(Bytes* to, const char* bytes, size_t length) {
  if (to->length + length > to->capacity) {
    to->capacity = (to->length + length) * 2;
    to->bytes = realloc(to->bytes, to->capacity);
  }
  memcpy(to->bytes + to->length, bytes, length);
  to->length += length;
}

static void consume(Bytes* from, size_t length) {
  from->length -= length;
  memmove(from->bytes, from->bytes + length, from->length);
}

// ---- RFC 6455 §4.2.2: the accept key (FIPS 180-4, RFC 4648) ----

static uint32_t rotated(uint32_t value, int by) { return value << by | value >> (32 - by); }

static void sha1(const uint8_t* text, size_t length, uint8_t digest[20]) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint8_t padded[256] = {0};
  size_t total = (length + 9 + 63) / 64 * 64;
  memcpy(padded, text, length);
  padded[length] = 0x80;
  for (int i = 0; i < 8; i++) padded[total - 1 - i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
  for (size_t block = 0; block < total; block += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
      const uint8_t* p = padded + block + 4 * i;
      w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    }
    for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
      uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
      uint32_t next = rotated(a, 5) + f + e + k + w[i];
      e = d, d = c, c = rotated(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t digest[20], char text[29]) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint8_t padded[21] = {0};
  memcpy(padded, digest, 20);
  for (int i = 0; i < 7; i++) {
    uint32_t three = (uint32_t)padded[3 * i] << 16 | padded[3 * i + 1] << 8 | padded[3 * i + 2];
    for (int k = 0; k < 4; k++) text[4 * i + k] = letters[three >> (18 - 6 * k) & 63];
  }
  text[27] = '=';
  text[28] = 0;
}

// ---- sockets ----

static void drop(Client* client) {
  for (int i = 0; i < client->topicCount; i++) {
    Topic* topic = &topics[client->topics[i]];
    for (int k = 0; k < topic->count; k++)
      if (topic->clients[k] == client) { topic->clients[k] = topic->clients[--topic->count]; break; }
  }
  for (int i = 0; i < dirtyCount; i++)
    if (dirty[i] == client) { dirty[i] = dirty[--dirtyCount]; break; }
  clients[client->fd] = NULL;
  close(client->fd);
  free(client->topics);
  free(client->in.bytes);
  free(client->out.bytes);
  free(client);
}

static void watch(Client* client, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = client->fd};
  epoll_ctl(epollFd, operation, client->fd, &event);
}

// Sends what waits; a socket that is full is watched until it takes more.
static void flush(Client* client) {
  ssize_t sent = client->out.length == 0 ? 0 : send(client->fd, client->out.bytes, client->out.length, MSG_NOSIGNAL);
  if (sent > 0) {
    if ((size_t)sent == client->out.length) client->out.length = 0;
    else consume(&client->out, (size_t)sent);
  }
  int isBlocked = client->out.length > 0;
  if (isBlocked != client->isBlocked) {
    client->isBlocked = isBlocked;
    watch(client, EPOLL_CTL_MOD, isBlocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

static void deliver(Client* client, const char* frame, size_t length) {
  if (client->out.length > backlogBytesMax) return; // the swarm will find it missing
  if (isBatching) {
    if (!client->isDirty) { client->isDirty = 1; dirty[dirtyCount++] = client; }
    append(&client->out, frame, length);
    return;
  }
  size_t sent = 0;
  if (!client->isBlocked) {
    ssize_t result = send(client->fd, frame, length, MSG_NOSIGNAL);
    if (result > 0) sent = (size_t)result;
    if (sent == length) return;
  }
  append(&client->out, frame + sent, length - sent);
  flush(client);
}

static void publish(int topic, const char* payload, size_t length) {
  static char frame[1 << 20];
  if (topic < 0 || topic >= topicCount || length > sizeof frame - 10) return;
  size_t head = length < 126 ? 2 : length < 65536 ? 4 : 10;
  frame[0] = (char)0x81;
  frame[1] = (char)(head == 2 ? length : head == 4 ? 126 : 127);
  for (size_t i = 2; i < head; i++) frame[i] = (char)((uint64_t)length >> (8 * (head - 1 - i)));
  memcpy(frame + head, payload, length);
  for (int i = 0; i < topics[topic].count; i++) deliver(topics[topic].clients[i], frame, head + length);
}

static void subscribe(Client* client, int number) {
  if (number < 0 || number >= topicCount) return;
  Topic* topic = &topics[number];
  if (topic->count == topic->capacity) {
    topic->capacity = topic->capacity * 2 + 8;
    topic->clients = realloc(topic->clients, sizeof(Client*) * (size_t)topic->capacity);
  }
  topic->clients[topic->count++] = client;
  client->topics = realloc(client->topics, sizeof(int) * (size_t)(client->topicCount + 1));
  client->topics[client->topicCount++] = number;
}

static int numberAtEnd(const char* name, size_t length) {
  size_t at = length;
  while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9') at--;
  return at == length ? -1 : atoi(name + at);
}

// Returns 0 when the client is gone.
static int takeHandshake(Client* client) {
  char* head = client->in.bytes;
  char* end = memmem(head, client->in.length, "\r\n\r\n", 4);
  if (end == NULL) {
    if (client->in.length < headBytesMax) return 1;
    drop(client);
    return 0;
  }
  *end = 0;
  char* key = strcasestr(head, "Sec-WebSocket-Key: ");
  char* line = strstr(head, "\r\n");
  if (key == NULL || line == NULL) { drop(client); return 0; }
  char text[64 + 36], accept[29], answer[256];
  uint8_t digest[20];
  snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
  sha1((uint8_t*)text, strlen(text), digest);
  base64(digest, accept);
  *line = 0;
  char* list = strstr(head, "topics=");
  for (char* p = list == NULL ? NULL : list + 7; p != NULL && *p != 0 && *p != ' ';) {
    size_t length = strcspn(p, ", &");
    char after = p[length];
    p[length] = 0;
    subscribe(client, numberAtEnd(p, length));
    p = after == ',' ? p + length + 1 : NULL;
  }
  int length = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
  client->isOpen = 1;
  client->in.length = 0; // the swarm says nothing more of interest
  free(client->in.bytes);
  client->in = (Bytes){0};
  return send(client->fd, answer, (size_t)length, MSG_NOSIGNAL) == length;
}

static void takeClient(Client* client, uint32_t events) {
  if (events & EPOLLOUT) flush(client);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  char chunk[4096];
  ssize_t count = recv(client->fd, chunk, sizeof chunk, 0);
  if (count == 0 || (count < 0 && errno != EAGAIN)) { drop(client); return; }
  if (count < 0 || client->isOpen) return;
  append(&client->in, chunk, (size_t)count);
  takeHandshake(client);
}

static void acceptAll(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;
    if (fd < 0) return;
    if (fd >= socketsMax) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Client* client = calloc(1, sizeof *client);
    client->fd = fd;
    clients[fd] = client;
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
  }
}

// ---- Redis ----

static int connectRedis(int port, const char* prefix) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr*)&address, sizeof address)) { perror("redis"); exit(1); }
  for (int i = 0; i < topicCount; i++) {
    char command[512], channel[256];
    int name = snprintf(channel, sizeof channel, "%s%d", prefix, i);
    int length = snprintf(command, sizeof command, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n", name, channel);
    if (write(fd, command, (size_t)length) != length) exit(1);
  }
  return fd;
}

// The bytes of a bulk string at `at`, which is moved behind it; NULL when it is not whole yet.
static const char* bulk(const Bytes* from, size_t* at, size_t* length) {
  char* end = memchr(from->bytes + *at, '\n', from->length - *at);
  if (end == NULL) return NULL;
  *length = (size_t)strtoul(from->bytes + *at + 1, NULL, 10);
  size_t start = (size_t)(end + 1 - from->bytes);
  if (start + *length + 2 > from->length) return NULL;
  *at = start + *length + 2;
  return from->bytes + start;
}

static void takeRedis(int fd) {
  static Bytes in;
  static char chunk[1 << 18];
  ssize_t count = recv(fd, chunk, sizeof chunk - 1, MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno != EAGAIN)) { fprintf(stderr, "Redis is gone\n"); exit(1); }
  if (count < 0) return;
  append(&in, chunk, (size_t)count);
  size_t used = 0;
  for (;;) {
    // *3 $7 message $n channel $n payload, or *3 $9 subscribe $n channel :n
    char* line = memchr(in.bytes + used, '\n', in.length - used);
    if (line == NULL) break;
    size_t at = (size_t)(line + 1 - in.bytes), kindLength, channelLength, length;
    const char* kind = bulk(&in, &at, &kindLength);
    const char* channel = kind == NULL ? NULL : bulk(&in, &at, &channelLength);
    if (channel == NULL) break;
    if (kindLength == 7) {
      const char* payload = bulk(&in, &at, &length);
      if (payload == NULL) break;
      publish(numberAtEnd(channel, channelLength), payload, length);
    } else {
      char* end = memchr(in.bytes + at, '\n', in.length - at);
      if (end == NULL) break;
      at = (size_t)(end + 1 - in.bytes);
    }
    used = at;
  }
  consume(&in, used);
}

static uint64_t nowNs(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int count, char** arguments) {
  if (count < 5) { fprintf(stderr, "see the head of floor.c\n"); return 2; }
  isBatching = !strcmp(arguments[1], "batch");
  topicCount = atoi(arguments[4]);
  topics = calloc((size_t)topicCount, sizeof *topics);
  dirty = calloc(socketsMax, sizeof *dirty);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  epollFd = epoll_create1(0);
  int redis = connectRedis(atoi(arguments[2]), arguments[3]);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 4096)) { perror("listen"); return 1; }
  getsockname(listener, (struct sockaddr*)&address, &length);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = redis};
  epoll_ctl(epollFd, EPOLL_CTL_ADD, redis, &event);
  event.data.fd = listener;
  epoll_ctl(epollFd, EPOLL_CTL_ADD, listener, &event);
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);

  struct epoll_event events[1024];
  uint64_t flushedNs = nowNs();
  for (;;) {
    int ready = epoll_wait(epollFd, events, 1024, dirtyCount > 0 ? 1 : -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == redis) takeRedis(redis);
      else if (fd == listener) acceptAll(listener);
      else if (clients[fd] != NULL) takeClient(clients[fd], events[i].events);
    }
    if (dirtyCount > 0 && nowNs() - flushedNs >= 1000000) {
      for (int i = 0; i < dirtyCount; i++) {
        dirty[i]->isDirty = 0;
        if (!dirty[i]->isBlocked) flush(dirty[i]);
      }
      dirtyCount = 0;
      flushedNs = nowNs();
    }
  }
}
