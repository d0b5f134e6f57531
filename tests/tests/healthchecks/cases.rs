//! Configurations of nginx, and the expected result of a check of each.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use maglev_tests::certificates::{Authority, Identity, NOW};
use maglev_tests::nginx::Nginx;
use maglev_tests::skipped;
use maglev_tests::stack::free_port;

/// Where one check says that its probes shall come from.
pub(crate) const SOURCE: &str = "127.81.9.9";
/// A server's name.
pub(crate) const WWW: &str = "www.example.org";

/// What the plain server has.
const PAGES: &str = r#"
    location = /ok { return 200 "fine\n"; }
    location = /unavailable { return 503; }
    location = /moved { return 301 /elsewhere; }
    location = /elsewhere { return 500; }
    location = /empty { return 204; }
    location = /chunked.html { ssi on; }
    location = /guarded {
        if ($http_host != www.example.org) { return 403; }
        if ($http_x_probe != "deep check") { return 403; }
        return 200 "for you alone\n";
    }
"#;

/// One check of one backend, and what it is to find.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The check, as the configuration has it.
    check: String,
    pub(crate) address: String,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

pub(crate) struct Cases {
    pub(crate) list: Vec<Case>,
    pub(crate) plain_port: u16,
    tls_port: u16,
    /// `server` blocks of nginx.
    pub(crate) servers: String,
}

impl Cases {
    pub(crate) fn new() -> Self {
        let [plain_port, tls_port] = [free_port().unwrap(), free_port().unwrap()];
        Self { list: Vec::new(), plain_port, tls_port, servers: String::new() }
    }

    /// Each case has an address of its own, by which it is found in nginx's log.
    fn next_address(&self) -> String {
        Ipv4Addr::new(127, 81, 0, u8::try_from(self.list.len() + 1).unwrap()).to_string()
    }

    pub(crate) fn add(&mut self, name: &'static str, check: &str, code: &'static str, detail: &str) {
        let (check, address, detail) = (check.to_owned(), self.next_address(), detail.to_owned());
        self.list.push(Case { name, check, address, code, detail });
    }

    /// A check of the plain server.
    fn plain(&mut self, name: &'static str, params: &str, code: &'static str, detail: &str) {
        let check = format!("type: http, port: {}, params: {{ {params} }}", self.plain_port);
        self.add(name, &check, code, detail);
    }

    /// A TLS server at the next case's address, with the names and whatever else nginx is told.
    fn tls_server(&mut self, settings: &str) {
        let (address, port) = (self.next_address(), self.tls_port);
        let page = "location / { return 200 \"$server_name, asked for as $ssl_server_name\"; }";
        writeln!(self.servers, "server {{ listen {address}:{port} ssl; {settings} {page} }}").unwrap();
    }

    /// A check of the TLS server at the same address.
    fn tls(&mut self, name: &'static str, params: &str, code: &'static str, detail: &str) {
        let check = format!("type: https, port: {}, params: {{ {params} }}", self.tls_port);
        self.add(name, &check, code, detail);
    }

    pub(crate) fn get(&self, name: &str) -> &Case {
        self.list.iter().find(|case| case.name == name).unwrap()
    }

    pub(crate) fn last(&mut self) -> &mut Case {
        self.list.last_mut().unwrap()
    }

    /// The plain server, at the addresses of all cases that have no server yet.
    fn plain_server(&mut self) {
        let port = self.plain_port;
        let listen = |case: &Case| format!("listen {}:{port};\n", case.address);
        let listens: String = self.list.iter().map(listen).collect();
        writeln!(self.servers, "server {{ {listens} {PAGES} }}").unwrap();
    }

    pub(crate) fn configuration(&self) -> String {
        let mut checks = String::new();
        let mut backends = String::new();
        for Case { name, check, address, .. } in &self.list {
            let times = "interval: 2s, fast-interval: 200ms, down-interval: 200ms";
            writeln!(checks, "    {name}: {{ {times}, rise: 2, fall: 2, {check} }}").unwrap();
            writeln!(backends, "    {name}: {{ address: '{address}', healthcheck: {name} }}").unwrap();
        }
        format!("maglev:\n  healthchecks:\n{checks}  backends:\n{backends}")
    }
}

pub(crate) fn http_cases(cases: &mut Cases, nginx: &Nginx) {
    nginx.serve_file("chunked.html", "before <!--#echo var=\"request_method\" --> after").unwrap();
    nginx.serve_file("near", &format!("{}needle", "x".repeat(65_530))).unwrap();
    nginx.serve_file("far", &format!("{}needle", "x".repeat(65_531))).unwrap();

    cases.plain("ok", "path: /ok", "L7OK", "HTTP 200");
    cases.plain("head", "path: /ok, method: HEAD", "L7OK", "HTTP 200");
    cases.plain("query", "path: '/ok?deep=1&x=%20'", "L7OK", "HTTP 200");
    cases.plain("unavailable", "path: /unavailable", "L7STS", "HTTP 503");
    cases.plain("missing", "path: /nothing/here", "L7STS", "HTTP 404");
    cases.plain("moved", "path: /moved", "L7OK", "HTTP 301");
    cases.plain("moved-wrongly", "path: /moved, response-code: 200", "L7STS", "HTTP 301");
    cases.plain("empty", "path: /empty, response-code: '204,300-399'", "L7OK", "HTTP 204");
    cases.plain(
        "body",
        "path: /ok, response-regexp: '^fi.e$'",
        "L7STS",
        "HTTP 200, body does not match ^fi.e$: 5 bytes, \"fine\\n\"",
    );
    cases.plain("body-lines", "path: /ok, response-regexp: '(?m)^fi.e$'", "L7OK", "HTTP 200");
    cases.plain("chunked", "path: /chunked.html, response-regexp: '^before GET after$'", "L7OK", "HTTP 200");
    cases.plain("near", "path: /near, response-regexp: 'xneedle$'", "L7OK", "HTTP 200");
    cases.plain(
        "far",
        "path: /far, response-regexp: 'needle'",
        "L7STS",
        "HTTP 200, body does not match needle: its first 65536 bytes, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"",
    );
    let header = "headers: { X-Probe: deep check, User-Agent: curious/1 }";
    cases.plain("guarded", &format!("path: /guarded, host: {WWW}, {header}"), "L7OK", "HTTP 200");
    cases.plain("no-header", &format!("path: /guarded, host: {WWW}"), "L7STS", "HTTP 403");
    cases.plain("no-host", &format!("path: /guarded, {header}"), "L7STS", "HTTP 403");
    let (plain, tls) = (cases.plain_port, cases.tls_port);
    cases.add(
        "source",
        &format!("type: http, port: {plain}, params: {{ path: /ok }}, probe-ipv4-src: {SOURCE}"),
        "L7OK",
        "HTTP 200",
    );
    cases.add("tcp", &format!("type: tcp, port: {plain}"), "L4OK", "connected");
    cases.add("refused", &format!("type: tcp, port: {tls}"), "L4CON", "connection refused");
    cases.add(
        "no-tls",
        &format!("type: https, port: {plain}"),
        "L6RSP",
        "not TLS: the server answered in another protocol",
    );
    cases.plain_server();
    match ipv6_address() {
        Some(address) => {
            writeln!(cases.servers, "server {{ listen [{address}]:{plain}; {PAGES} }}").unwrap();
            cases.plain("ipv6", "path: /ok", "L7OK", "HTTP 200");
            cases.last().address = address.to_string();
        }
        None => {
            skipped("a check over IPv6, of which this machine has no address that VPP could have as well")
        }
    }
}

/// A unicast address of this machine. That of the loopback cannot be a backend's.
fn ipv6_address() -> Option<Ipv6Addr> {
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|interface| interface.address);
    let mut addresses = addresses.filter_map(|address| Some(address.as_sockaddr_in6()?.ip()));
    addresses.find(|address| !address.is_loopback() && !address.is_unicast_link_local())
}

pub(crate) fn tls_cases(cases: &mut Cases, nginx: &Nginx) {
    let root = Authority::root("root of the tests").unwrap();
    let stranger = Authority::root("stranger").unwrap();
    let middle = root.below("middle").unwrap();
    let ca = nginx.directory().join("root.pem");
    std::fs::write(&ca, root.pem()).unwrap();
    let ca = format!("ca-file: {}", ca.display());
    let www = format!("host: {WWW}, {ca}");
    let fine = ("L7OK", "HTTP 200");
    let issue = |names: &[&str]| root.issue(names, NOW).unwrap();
    let unknown = ("L6RSP", "certificate is signed by an unknown authority");

    let mut serve = |name, identity: &Identity, settings: &str, params: &str, (code, detail)| {
        let identity = nginx.identity(name, identity).unwrap();
        cases.tls_server(&format!("{identity} {settings}"));
        cases.tls(name, params, code, detail);
    };
    let good = issue(&[WWW]);
    serve("tls", &good, "", &www, fine);
    serve("tls12", &good, "ssl_protocols TLSv1.2;", &www, fine);
    serve("tls13", &good, "ssl_protocols TLSv1.3;", &www, fine);
    let version = ("L6RSP", "the server sent an alert: protocol version");
    serve("tls11", &good, "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;", &www, version);
    serve("intermediate", &middle.issue(&[WWW], NOW).unwrap().with(&middle), "", &www, fine);
    serve("broken-chain", &middle.issue(&[WWW], NOW).unwrap(), "", &www, unknown);
    serve("wildcard", &issue(&["*.example.org"]), "", &www, fine);
    let other = ("L6RSP", "certificate is for mail.example.org, not for www.example.org");
    serve("wrong-name", &issue(&["mail.example.org"]), "", &www, other);
    let expired = ("L6RSP", "certificate expired on 2021-01-02T00:00:00Z");
    serve("expired", &root.issue(&[WWW], 2020..2021).unwrap(), "", &www, expired);
    let early = ("L6RSP", "certificate not valid before 2119-01-02T00:00:00Z");
    serve("early", &root.issue(&[WWW], 2119..2120).unwrap(), "", &www, early);
    serve("stranger", &stranger.issue(&[WWW], NOW).unwrap(), "", &www, unknown);
    let own = Identity::self_signed(&[WWW]).unwrap();
    let nobody = ("L6RSP", "certificate is self-signed and not trusted");
    serve("self-signed", &own, "", &www, nobody);
    serve("unverified", &own, "", &format!("host: {WWW}, ssl-verify: false"), fine);
    let wants = "ssl_verify_client on; ssl_client_certificate root.pem;";
    serve("client-certificate", &good, wants, &www, ("L7STS", "HTTP 400"));
    serve("http2", &good, "http2_max_concurrent_streams 8;", &www, fine);

    let address = cases.next_address();
    cases.tls_server(&nginx.identity("address", &issue(&[&address])).unwrap());
    cases.tls("address", &ca, "L7OK", "HTTP 200");
    cases.tls_server(&nginx.identity("wrong-address", &issue(&["127.81.0.200"])).unwrap());
    let detail = format!("certificate is for 127.81.0.200, not for {}", cases.next_address());
    cases.tls("wrong-address", &ca, "L6RSP", &detail);

    // Two servers at one address, each with a certificate of its own: the first is for those who ask for neither.
    let shared = cases.next_address();
    for name in ["a.example", "b.example"] {
        let identity = nginx.identity(name, &issue(&[name])).unwrap();
        cases.tls_server(&format!("server_name {name}; {identity}"));
    }
    let of_a = "certificate is for a.example, not for c.example";
    for (name, params, code, detail) in [
        ("sni-a", "host: a.example", "L7OK", "HTTP 200"),
        ("sni-b", "host: 'b.example:8443'", "L7OK", "HTTP 200"),
        ("sni-c", "host: c.example", "L6RSP", of_a),
        (
            "sni-apart",
            "host: a.example, sni: b.example, response-regexp: ^a.example.*b.example$",
            "L7OK",
            "HTTP 200",
        ),
    ] {
        cases.tls(name, &format!("{params}, {ca}"), code, detail);
        cases.last().address.clone_from(&shared);
    }

    let port = cases.tls_port;
    for (name, params, code, detail) in [
        ("tcp-tls", format!("sni: a.example, {ca}"), "L6OK", "TLS handshake complete"),
        ("tcp-wrong-name", format!("sni: c.example, {ca}"), "L6RSP", of_a),
        ("tcp-unverified", "ssl-verify: false".to_owned(), "L6OK", "TLS handshake complete"),
    ] {
        cases.add(name, &format!("type: tcp, port: {port}, params: {{ ssl: true, {params} }}"), code, detail);
        cases.last().address.clone_from(&shared);
    }
    cases.add("plain-to-tls", &format!("type: http, port: {port}"), "L7STS", "HTTP 400");
    cases.last().address = shared;
}
