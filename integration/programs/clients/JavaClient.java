import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/** The JDK's HttpClient: URL MARK COUNT METHOD. */
public final class JavaClient {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String mark = arguments[1];
        int count = Integer.parseInt(arguments[2]);
        String method = arguments[3];
        BodyPublisher body =
                method.equals("POST") ? BodyPublishers.ofString("y".repeat(2000)) : BodyPublishers.noBody();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int i = 0; i < count; i++) {
            String name = mark + "-" + i;
            HttpRequest request =
                    HttpRequest.newBuilder(URI.create(url + "?n=" + name)).method(method, body).build();
            long began = System.nanoTime();
            long start = System.currentTimeMillis() * 1_000_000L;
            HttpResponse<byte[]> response = client.send(request, BodyHandlers.ofByteArray());
            long took = System.nanoTime() - began;
            System.out.printf(
                    "{\"n\": \"%s\", \"start_ns\": %d, \"duration_ns\": %d, \"status\": %d}%n",
                    name, start, took, response.statusCode());
        }
    }
}
