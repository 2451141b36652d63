import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A hop as servers on event loops have it: one thread reads for all, others ask and answer: PORT [late]. */
public final class JavaLoopHop {
    private static final ExecutorService WORKERS = Executors.newFixedThreadPool(64);
    private static final byte[] ANSWER =
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nend\n".getBytes(StandardCharsets.US_ASCII);

    private static final ByteBuffer SWITCHES =
            StandardCharsets.US_ASCII.encode("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n");

    private static boolean late;

    public static void main(String[] words) throws IOException {
        late = words[0].equals("late");
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[words.length - 1])), 256);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select(JavaLoopHop::ready);
        }
    }

    private static void ready(SelectionKey key) {
        try {
            if (key.isAcceptable()) {
                SocketChannel accepted = ((ServerSocketChannel) key.channel()).accept();
                accepted.configureBlocking(false);
                accepted.register(key.selector(), SelectionKey.OP_READ, new StringBuilder());
            } else {
                read(key, (SocketChannel) key.channel(), (StringBuilder) key.attachment());
            }
        } catch (IOException ended) {
            key.cancel();
        }
    }

    private static void read(SelectionKey key, SocketChannel channel, StringBuilder head) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(8192);
        if (channel.read(buffer) < 0) {
            channel.close();
            return;
        }
        head.append(StandardCharsets.US_ASCII.decode(buffer.flip()));
        if (head.indexOf("\r\n\r\n") >= 0) {
            String target = head.toString().split(" ")[1];
            head.setLength(0);
            WORKERS.execute(() -> serve(channel, target));
        }
    }

    private static void serve(SocketChannel channel, String target) {
        try {
            if (target.equals("/upgrade")) {
                channel.write(SWITCHES.duplicate());
                return;
            }
            if (late) {
                channel.write(ByteBuffer.wrap(ANSWER));
            }
            JavaHops.walk(target);
            if (!late) {
                channel.write(ByteBuffer.wrap(ANSWER));
            }
        } catch (IOException failed) {
            throw new IllegalStateException(failed);
        }
    }
}
