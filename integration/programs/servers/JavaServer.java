import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Executors;

/** The JDK's own HTTP server: the common paths. */
public final class JavaServer {
    private static final byte[] BIG = new byte[1 << 20];

    public static void main(String[] arguments) throws IOException {
        Arrays.fill(BIG, (byte) 'x');
        int port = Integer.parseInt(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 128);
        server.createContext("/", JavaServer::answer);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        byte[] body = ("{\"path\": \"" + path + "\"}").getBytes(StandardCharsets.UTF_8);
        int length = exchange.getRequestBody().readAllBytes().length;
        int status = 200;
        boolean chunked = path.equals("/chunked");
        if (path.equals("/big")) {
            body = BIG;
        } else if (path.equals("/echo")) {
            body = Integer.toString(length).getBytes(StandardCharsets.UTF_8);
        } else if (path.equals("/slow")) {
            pause(50);
        } else if (path.startsWith("/status/")) {
            status = Integer.parseInt(path.substring("/status/".length()));
        }
        // A length of 0 means chunked here.
        exchange.sendResponseHeaders(status, chunked ? 0 : body.length);
        try (OutputStream stream = exchange.getResponseBody()) {
            stream.write(body);
        }
    }

    private static void pause(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }
}
