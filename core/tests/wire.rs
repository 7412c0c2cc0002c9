//! The wire format, byte for byte: CONTRACT 1's lines and the order of every field.

use quire_core::wire::{Decoded, decode, encode};

/// Every line as quire writes it: decoded and encoded again it is the same bytes.
const LINES: &[&str] = &[
    // The base format.
    r#"{"at_ms":100,"type":"job_started","job_id":"build"}"#,
    r#"{"at_ms":110,"type":"sh_started","job_id":"build","cmd":"echo hi"}"#,
    r#"{"at_ms":190,"type":"sh_finished","job_id":"build","exit_code":0}"#,
    r#"{"at_ms":250,"type":"job_finished","job_id":"build","outcome":"complete"}"#,
    r#"{"at_ms":250,"type":"job_finished","job_id":"build","outcome":"failed"}"#,
    // The kinds around it.
    r#"{"at_ms":90,"type":"run_started","run_id":"…","version":"0.1.0","executor":"host","sha":"…","ref":"refs/heads/main","seed":7,"jobs":[{"id":"build","inputs":["quire/push"]}]}"#,
    r#"{"at_ms":91,"type":"run_logged","text":"…"}"#,
    r#"{"at_ms":120,"type":"job_logged","job_id":"build","text":"…"}"#,
    r#"{"at_ms":240,"type":"job_retried","job_id":"build","attempt":2,"error":{"message":"…","file":".quire/ci.lua","line":7}}"#,
    r#"{"at_ms":250,"type":"job_skipped","job_id":"test","reason":"input_failed","text":"build failed"}"#,
    r#"{"at_ms":190,"type":"sh_finished","job_id":"build","exit_code":137,"sh":2,"signal":9,"error":{"message":"…"},"cause":"timeout","no_eol":["stdout"],"masked":true,"truncated":true,"detached":true,"replayed":true}"#,
    r#"{"at_ms":260,"type":"run_finished","outcome":"failed","failure_kind":"job"}"#,
    // Their other fields.
    r#"{"at_ms":-1,"type":"run_started","run_id":"r","version":"0.1.0","executor":"quire-ci","jobs":[],"number":41,"repo":"work/foo.git","pushed_at_ms":12,"params":{"a":"1","b":"\"2\""},"resumed_from":"q","args":["-v","***"],"pipeline":"6f1e"}"#,
    r#"{"at_ms":90,"type":"run_started","run_id":"r","version":"0.1.0","executor":"host","seed":18446744073709551615,"jobs":[{"id":"a","inputs":[]},{"id":"b","inputs":["a","quire/manual"]}]}"#,
    r#"{"at_ms":111,"type":"sh_started","job_id":"build","cmd":"printf 'a\tb' \\\n  \"c\"","key":"6f1e"}"#,
    r#"{"at_ms":111,"type":"sh_started","job_id":"build","cmd":"make","key":"6f1e","cwd":"sub dir","env":{"CC":"clang \"x\"","TERM":null},"shell":"bash"}"#,
    r#"{"at_ms":111,"type":"sh_started","job_id":"build","cmd":"make","env":{"TOKEN":"***"}}"#,
    r#"{"at_ms":250,"type":"job_finished","job_id":"b","outcome":"complete","output":{"list":[1,2.5,null,true],"name":"***"},"masked":true,"replayed":true,"flaky":true}"#,
    r#"{"at_ms":250,"type":"job_finished","job_id":"b","outcome":"failed","allowed":true,"error":{"message":"exit 1","file":".quire/ci.lua","line":7}}"#,
    r#"{"at_ms":250,"type":"job_finished","job_id":"b","outcome":"aborted"}"#,
    r#"{"at_ms":250,"type":"job_skipped","job_id":"b","reason":"a word of tomorrow"}"#,
    r#"{"at_ms":240,"type":"job_retried","job_id":"b","attempt":3}"#,
    r#"{"at_ms":190,"type":"sh_finished","job_id":"b","exit_code":127,"error":{"message":"not found"},"no_eol":["stdout","stderr"]}"#,
    r#"{"at_ms":260,"type":"run_finished","outcome":"failed","failure_kind":"pipeline","error":{"message":"unexpected symbol","file":".quire/ci.lua","line":3},"fingerprint":"f"}"#,
    r#"{"at_ms":260,"type":"run_finished","outcome":"complete"}"#,
];

#[test]
fn every_line_is_written_as_it_was_read() {
    for line in LINES {
        let Ok(Decoded::Event(event)) = decode(line.as_bytes()) else {
            panic!("{line}: {:?}", decode(line.as_bytes()))
        };
        let mut bytes = b"before\n".to_vec();
        encode(&event, &mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), format!("before\n{line}\n"));
    }
}

#[test]
fn no_prefix_of_a_line_is_an_event_and_none_panics() {
    for line in LINES {
        for end in 0..line.len() {
            let decoded = decode(&line.as_bytes()[..end]);
            assert!(decoded.is_err(), "{} gave {decoded:?}", line.get(..end).unwrap_or("a cut character"));
        }
    }
}
