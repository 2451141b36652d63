import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** A hop that answers at once, and asks up to a second later, from threads that serve nobody: PORT. */
public final class JavaDelayedHop {
    private static final ScheduledExecutorService LATER = Executors.newScheduledThreadPool(16);

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 256);
        server.createContext("/", JavaDelayedHop::answer);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String target = exchange.getRequestURI().toString();
        LATER.schedule(() -> ask(target), ThreadLocalRandom.current().nextInt(1000), TimeUnit.MILLISECONDS);
        exchange.sendResponseHeaders(200, 4);
        exchange.getResponseBody().write("end\n".getBytes());
        exchange.close();
    }

    private static void ask(String target) {
        try {
            JavaHops.walk(target);
        } catch (IOException failed) {
            throw new IllegalStateException(failed);
        }
    }
}
