//! The tests' own instruments, on pages whose faults are known: what they are to notice, they notice.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::axe;
use crate::webdriver::{Browser, Key};

/// Serves one page for as long as the test runs; where it is.
fn page(html: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || answer(stream, html));
        }
    });
    address
}

fn answer(mut stream: TcpStream, html: &str) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Security-Policy: default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'nonce-a'; img-src data:\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{html}",
        html.len()
    );
}

const SOUND: &str = "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>Sound</title><link rel=icon href='data:,'>
<style>@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }</style>
<main><h1>Sound</h1><p><a href='#b' id=a>To b</a> <a href='#a' id=b>To a</a></p></main>
<script nonce=a>window.ran = true;</script>";

#[test]
fn a_sound_page_is_found_sound_under_a_strict_policy() {
    let browser = Browser::open();
    browser.go(&page(SOUND));
    assert_eq!(axe::violations(&browser), Vec::<String>::new());
    assert_eq!((browser.value("window.ran"), browser.title()), (json!(true), "Sound".to_owned()));
    browser.assert_quiet();
}

#[test]
fn faults_are_noticed() {
    let browser = Browser::open();
    browser.go(&page(
        "<!doctype html><html lang=en><title>Faults</title><link rel=icon href='data:,'>
         <main><h1>Faults</h1><p style='color: #bbb; background: #fff'>pale</p><p><a href='#'><b></b></a></p></main>
         <script>window.pwned = true;</script><script nonce=a>missing();</script>",
    ));
    let rules = axe::violations(&browser);
    for rule in ["color-contrast", "link-name"] {
        assert!(rules.iter().any(|told| told.starts_with(rule)), "{rule} is not in {rules:#?}");
    }
    let console = browser.console();
    for word in ["Content Security Policy", "missing is not defined"] {
        assert!(console.iter().any(|message| message.text.contains(word)), "{word} is not in {console:#?}");
    }
    assert_eq!(browser.value("window.pwned ?? null"), json!(null));
    browser.assert_quiet();
}

#[test]
fn schemes_screens_keys_windows_and_scripts_are_as_told() {
    let browser = Browser::open();
    let address = page(SOUND);
    browser.go(&address);

    let background = "getComputedStyle(document.body).backgroundColor";
    let light = browser.value(background);
    browser.prefer("dark");
    assert_ne!(browser.value(background), light);

    browser.keys(&[Key::Tab, Key::Tab]);
    assert_eq!(browser.focused().and_then(|element| element.attribute("id")).as_deref(), Some("b"));
    browser.keys(&[Key::Enter]);
    assert_eq!(browser.place(), "/#a");
    browser.back();
    assert_eq!(browser.place(), "/");
    browser.forward();

    browser.hide();
    browser.show();

    browser.screen(390, 844, 1.0, true);
    assert_eq!(browser.value("document.documentElement.clientWidth"), json!(390));
    assert!(browser.screenshot().starts_with(b"\x89PNG"));

    browser.without_scripts();
    browser.reload();
    assert_eq!(browser.value("window.ran ?? null"), json!(null));
    assert_eq!(browser.find("h1").text(), "Sound");
    browser.assert_quiet();
}
