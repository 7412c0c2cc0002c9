//! Why a run waits, in words.

use quire_core::queue::{Input, NotRun, Supersede::Off};

use crate::desk::Desk;

#[test]
fn every_waiting_run_says_why() {
    let mut desk = Desk::new(2, &[("a", Off, Some(1))]);
    desk.pushed("a", &["1", "2", "3"]);
    assert_eq!(desk.why("11"), "starts now");
    assert_eq!(desk.why("12"), "waits for its repository: 1 of at most 1 run goes on; it is the next one");
    assert_eq!(desk.why("13"), "waits for its repository: 1 of at most 1 run goes on; 1 is before it");
    desk.pushed("b", &["1", "2"]);
    desk.pushed("c", &["1", "2"]);
    assert_eq!(desk.why("22"), "waits for one of 2 places: 2 runs go on; 2 are before it");
    desk.push("b", &["9"]);
    assert_eq!(desk.why("49"), "is being queued");
    desk.disk(1_299_999_999);
    assert_eq!(desk.why("12"), "waits for disk: 1.2 GB free, 5 GB needed");
    desk.queue.handle(Input::Draining);
    assert_eq!(desk.why("12"), "waits: the server is stopping");
    assert_eq!((desk.why("11"), desk.why("none")), ("starts now".to_owned(), "-".to_owned()));
    assert_eq!(desk.queue.halted().unwrap().to_string(), "waits: the server is stopping");
}

#[test]
fn who_pushed_reads_why_and_what_to_do() {
    let explain = |why: NotRun| why.explain("work/foo.git", "refs/heads/it's");
    assert_eq!(explain(NotRun::Deleted), "it was deleted");
    assert_eq!(
        explain(NotRun::ManyRefs { count: 600 }),
        "of a push of more than 10 refs (this one has 600) only the default branch runs; to run it: \
         quire trigger work/foo.git 'refs/heads/it'\\''s'"
    );
}
