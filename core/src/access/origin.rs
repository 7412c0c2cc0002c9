//! Where a browser's request comes from: quire's own pages, or a page that would use the reader's session or network.
//!
//! Two different attacks. A page of another site sends a request along with the reader's cookie: [`same_origin`]. A page whose
//! name was made to resolve to this machine (DNS rebinding) is, to the browser, the same origin: [`host_is_ours`].

use core::net::{IpAddr, SocketAddr};

/// May a request of this method change something, as far as its origin goes? `host` is its Host header, `ours` are further
/// hosts that pages are served under (that of the configured `url`, where a proxy rewrites Host).
///
/// A browser tells the origin with every request that is not GET or HEAD: who tells nothing is no browser.
pub fn same_origin(
    method: &str,
    origin: Option<&str>,
    sec_fetch_site: Option<&str>,
    host: Option<&str>,
    ours: &[&str],
) -> bool {
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    if sec_fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = origin else { return true };
    let Some(origin) = host_of_url(origin) else { return false };
    host.into_iter().chain(ours.iter().copied()).any(|host| host.eq_ignore_ascii_case(origin))
}

/// Is the Host header one that this server may be asked under? Those are addresses (a rebound name is none), `localhost` and what
/// ends in it, the host of `listen`, and that of `url`. Ports are not looked at: an `ssh -L` changes them.
pub fn host_is_ours(host: Option<&str>, listen: &str, url: Option<&str>) -> bool {
    let Some(name) = host.and_then(without_port) else { return false };
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is = |other: Option<&str>| other.and_then(without_port).is_some_and(|other| other.eq_ignore_ascii_case(&name));
    name == "localhost" || name.ends_with(".localhost") || is(Some(listen)) || is(url.and_then(host_of_url))
}

/// Host and port, as they are written, of `http://HOST[:PORT]/…` or of an Origin header. `None`: it is no such address.
pub fn host_of_url(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    (without_port(host).is_some() && !host.contains('@')).then_some(host)
}

/// The name or address in `HOST` or `HOST:PORT`, an IPv6 address without its brackets. `None`: it is neither.
fn without_port(host: &str) -> Option<&str> {
    if let Some(inner) = host.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        let is_port = port.is_empty() || host.parse::<SocketAddr>().is_ok();
        return is_port.then_some(address);
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_port = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_port && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_other_sites_change_nothing() {
        let (here, there) = (Some("http://ci.example:7878"), Some("https://evil.example"));
        for (method, origin, site, expected) in [
            ("POST", None, None, true),
            ("POST", here, None, true),
            ("POST", here, Some("same-origin"), true),
            ("POST", Some("HTTP://ci.example:7878"), None, false),
            ("POST", Some("http://CI.example:7878"), None, true),
            ("DELETE", there, None, false),
            ("POST", there, Some("cross-site"), false),
            // Another name of the same site may be another's.
            ("POST", Some("http://other.example:7878"), Some("same-site"), false),
            ("POST", here, Some("same-site"), false),
            ("POST", None, Some("cross-site"), false),
            ("POST", None, Some("none"), true),
            ("POST", Some("null"), None, false),
            ("POST", Some(""), None, false),
            ("POST", Some("http://ci.example:7879"), None, false),
            ("POST", Some("http://ci.example:7878@evil.example"), None, false),
            ("POST", Some("https://quire.example.org"), None, true),
            ("GET", there, Some("cross-site"), true),
            ("HEAD", there, None, true),
            ("get", there, None, false),
        ] {
            let told = same_origin(method, origin, site, Some("ci.example:7878"), &["quire.example.org"]);
            assert_eq!(told, expected, "{method} {origin:?} {site:?}");
        }
        assert!(!same_origin("POST", here, None, None, &[]));
        assert!(same_origin("POST", None, None, None, &[]));
    }

    #[test]
    fn names_that_were_rebound_are_not_ours() {
        let url = Some("https://ci.example.org:8443/quire");
        for (host, expected) in [
            (Some("127.0.0.1:7878"), true),
            (Some("127.0.0.1"), true),
            (Some("192.168.1.5:80"), true),
            (Some("[::1]:7878"), true),
            (Some("[::1]"), true),
            (Some("[::1"), false),
            (Some("[::1]x"), false),
            (Some("localhost:9000"), true),
            (Some("LocalHost."), true),
            (Some("quire.localhost:1"), true),
            (Some("localhost.evil.example"), false),
            (Some("evillocalhost"), false),
            (Some("evil.example:7878"), false),
            (Some("ci.example.org"), true),
            (Some("CI.example.org:8443"), true),
            (Some("box:7878"), true),
            (Some("127.0.0.1.evil.example"), false),
            (Some("box@evil"), false),
            (Some("box:x"), false),
            (Some(""), false),
            (Some(":7878"), false),
            (None, false),
        ] {
            assert_eq!(host_is_ours(host, "box:7878", url), expected, "{host:?}");
        }
        assert!(!host_is_ours(Some("ci.example.org"), "127.0.0.1:7878", None));
    }

    #[test]
    fn hosts_of_addresses() {
        for (url, host) in [
            ("http://a.example", Some("a.example")),
            ("https://a.example:8443/b?c#d", Some("a.example:8443")),
            ("http://[::1]:80/x", Some("[::1]:80")),
            ("http://", None),
            ("http:///x", None),
            ("ftp://a.example", None),
            ("http://u:p@a.example", None),
            ("a.example", None),
            ("null", None),
        ] {
            assert_eq!(host_of_url(url), host, "{url}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        fn property(a: String, b: String, c: String) -> bool {
            let _ = same_origin("POST", Some(&a), Some(&b), Some(&c), &[&b]);
            let _ = host_is_ours(Some(&a), &b, Some(&c));
            true
        }
        quickcheck::quickcheck(property as fn(String, String, String) -> bool);
    }
}
