import java.net.InetAddress;
import java.util.Hashtable;
import javax.naming.directory.InitialDirContext;

/** Looks up names: java Lookups library|questions NAME... by the C library, or by a resolver in Java. */
class Lookups {
    public static void main(String[] words) throws Exception {
        for (int i = 1; i < words.length; i++) {
            try {
                if (words[0].equals("library")) {
                    InetAddress.getByName(words[i]);
                } else {
                    Hashtable<String, String> settings = new Hashtable<>();
                    settings.put("java.naming.factory.initial", "com.sun.jndi.dns.DnsContextFactory");
                    settings.put("java.naming.provider.url", "dns:");
                    new InitialDirContext(settings).getAttributes(words[i], new String[] {"A"});
                }
                System.out.println("ok");
            } catch (Exception error) {
                System.out.println(error);
            }
        }
    }
}
