import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** A hop on the JDK's own server, whose threads wait for what they read: PORT. */
public final class JavaHop {
    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 256);
        server.createContext("/", JavaHop::answer);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        JavaHops.walk(exchange.getRequestURI().toString());
        exchange.sendResponseHeaders(200, 4);
        exchange.getResponseBody().write("end\n".getBytes());
        exchange.close();
    }
}
