import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** What hops.py does: asks the ports of the first hop of a target. A port that ends in `u` by HttpURLConnection. */
final class JavaHops {
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private JavaHops() {}

    static void walk(String target) throws IOException {
        String[] parts = target.split("[?]", 2);
        String[] words = parts[0].split("/");
        if (words.length < 4 || !words[1].equals("walk")) {
            return;
        }
        StringBuilder rest = new StringBuilder("/walk/" + words[2]);
        for (int i = 4; i < words.length; i++) {
            rest.append('/').append(words[i]);
        }
        for (String hop : words[3].split("[+]")) {
            String place = "http://127.0.0.1:" + hop.replace("u", "") + rest + "?" + parts[1];
            if (hop.endsWith("u")) {
                askWaiting(place);
            } else {
                CLIENT.sendAsync(HttpRequest.newBuilder(URI.create(place)).build(), BodyHandlers.ofByteArray()).join();
            }
        }
    }

    private static void askWaiting(String place) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(place).openConnection();
        try (InputStream stream = connection.getInputStream()) {
            stream.readAllBytes();
        }
    }
}
