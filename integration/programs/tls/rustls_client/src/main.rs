//! HTTPS requests with ureq on rustls, over one kept connection, timed: URL MARK COUNT METHOD.
//!
//! The authority to trust is in SSL_CERT_FILE.
use rustls::pki_types::{pem::PemObject, CertificateDer};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn agent() -> ureq::Agent {
    let file = std::env::var("SSL_CERT_FILE").expect("SSL_CERT_FILE");
    let mut trusted = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).expect("the authority") {
        trusted.add(certificate.expect("PEM")).expect("a certificate");
    }
    let configuration = rustls::ClientConfig::builder()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    ureq::AgentBuilder::new().tls_config(Arc::new(configuration)).build()
}

fn request(agent: &ureq::Agent, method: &str, url: &str) -> u16 {
    let made = agent.request(method, url);
    let body = "y".repeat(2000);
    let answer = if method == "POST" { made.send_string(&body) } else { made.call() };
    let response = match answer {
        Ok(response) | Err(ureq::Error::Status(_, response)) => response,
        Err(error) => panic!("{error}"),
    };
    let status = response.status();
    std::io::copy(&mut response.into_reader(), &mut std::io::sink()).expect("the body");
    status
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (url, mark, method) = (&words[1], &words[2], &words[4]);
    let agent = agent();
    for i in 0..words[3].parse::<u32>().expect("COUNT") {
        let name = format!("{mark}-{i}");
        let began = Instant::now();
        let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let status = request(&agent, method, &format!("{url}?n={name}"));
        let took = began.elapsed().as_nanos();
        println!("{{\"n\": \"{name}\", \"start_ns\": {start}, \"duration_ns\": {took}, \"status\": {status}}}");
    }
}
