import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Java's java.net.http.WebSocket: java java-http.java SERVER CODE TOPIC DATA prints a report (see talk.ts) as JSON.
 * DATA is JSON and is looked for in the publication as it was sent: the JDK reads no JSON.
 */
class JavaHttp {
    static final int MEGABYTE = 1_048_576;

    /** What came, in order. */
    static class Inbox implements WebSocket.Listener {
        final BlockingQueue<Object> messages = new LinkedBlockingQueue<>();
        final CompletableFuture<String> pong = new CompletableFuture<>();
        final CompletableFuture<Integer> closed = new CompletableFuture<>();
        private final StringBuilder text = new StringBuilder();
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
            text.append(part);
            if (isLast) {
                messages.add(text.toString());
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean isLast) {
            byte[] copy = new byte[part.remaining()];
            part.get(copy);
            bytes.writeBytes(copy);
            if (isLast) {
                messages.add(bytes.toByteArray());
                bytes.reset();
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onPong(WebSocket socket, ByteBuffer message) {
            pong.complete(StandardCharsets.UTF_8.decode(message).toString());
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            closed.complete(code);
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            closed.completeExceptionally(error);
        }

        Object next() throws Exception {
            Object message = messages.poll(20, TimeUnit.SECONDS);
            if (message == null) throw new IllegalStateException("nothing came");
            return message;
        }

        String until(String part) throws Exception {
            while (true) {
                String message = (String) next();
                if (message.contains(part)) return message;
            }
        }
    }

    static WebSocket open(HttpClient client, String url, Inbox inbox) {
        return client.newWebSocketBuilder().buildAsync(URI.create(url), inbox).join();
    }

    public static void main(String[] arguments) throws Exception {
        String server = arguments[0];
        int code = Integer.parseInt(arguments[1]);
        String topic = arguments[2];
        String data = arguments[3];
        HttpClient client = HttpClient.newHttpClient();

        String text = "aé弹🎏".repeat(MEGABYTE / 10) + "tail-1";
        byte[] binary = new byte[MEGABYTE];
        for (int index = 0; index < MEGABYTE; index++) binary[index] = (byte) (index * 7 + (index >> 8));
        Inbox inbox = new Inbox();
        WebSocket echo = open(client, server + "/echo", inbox);
        echo.sendText(text, true).join();
        boolean isText = text.equals(inbox.next());
        echo.sendBinary(ByteBuffer.wrap(binary), true).join();
        boolean isBinary = Arrays.equals(binary, (byte[]) inbox.next());
        echo.sendText("one ", false).join();
        echo.sendText("two ", false).join();
        echo.sendText("three", true).join();
        boolean isFragmented = "one two three".equals(inbox.next());
        echo.sendPing(ByteBuffer.wrap("are you there".getBytes(StandardCharsets.UTF_8))).join();
        boolean isPong = "are you there".equals(inbox.pong.get(10, TimeUnit.SECONDS));
        echo.sendClose(code, "done").join();
        int seenCode = inbox.closed.get(10, TimeUnit.SECONDS);

        Inbox nativeInbox = new Inbox();
        WebSocket socket = open(client, server + "/ws", nativeInbox);
        String name = "\"topic\":\"" + topic + "\"";
        socket.sendText("{\"id\":1,\"method\":\"subscribe\",\"params\":{\"topics\":[\"" + topic + "\"]}}", true).join();
        nativeInbox.until("\"id\":1,");
        socket.sendText("{\"id\":2,\"method\":\"publish\",\"params\":{" + name + ",\"data\":" + data + "}}", true).join();
        String publication = nativeInbox.until("\"data\":");
        boolean isPublished = publication.contains(name) && publication.contains("\"data\":" + data);
        socket.sendBinary(ByteBuffer.wrap(new byte[] {1, 2, 3}), true).join();
        int serverCode = nativeInbox.closed.get(10, TimeUnit.SECONDS);

        System.out.printf(
                "{\"text\":%b,\"binary\":%b,\"fragmented\":%b,\"pong\":%b,\"deflate\":false,\"code\":%d,"
                        + "\"native\":%s,\"serverCode\":%d}%n",
                isText, isBinary, isFragmented, isPong, seenCode, isPublished ? data : "null", serverCode);
        System.exit(0);
    }
}
