//! Pipelines as Lua source, made of a small grammar: jobs, inputs, options, and statements of all that a script can ask.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quire_core::ids::JobId;

use super::bytes::Bytes;

/// What commands do. Whoever is not waited for from the start has `aside` put before it, a service `serve`.
const COMMANDS: &[&str] = &[
    "ok",
    "print hello; sleep 1",
    "put x; err y",
    "fail 3",
    "print a; put b; err c; sleep 0.1; print d",
    "sleep 2; fail 1",
    "leak token raw",
    "sleep 5",
    "signal 9",
    "put [; leak token halves; print ]",
    "deaf; sleep 30",
    "term 0; sleep 20",
    "linger 1",
    "leak pem raw; err done",
    "sleep 1; late 7; linger 9",
    "closes; sleep 2",
    "leak token hex; leak token base64",
    "missing",
    "nocwd",
    "broken",
    "fail_first 1",
    "bytes 20000; late 100; linger 0.1",
];

/// The text that the job `name` masks before it uses it.
pub fn hidden(name: &str) -> String {
    format!("hidden-{name}")
}

/// A pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// Its text, `ci` already required.
    pub text: String,
    /// What each job needs of its inputs.
    pub needs: BTreeMap<JobId, &'static str>,
}

/// Total over any bytes. `is_short`: less work, for a world of several runs.
pub fn pipeline(bytes: &mut Bytes<'_>, is_short: bool) -> Pipeline {
    let mut pipeline = Pipeline::default();
    let text = &mut pipeline.text;
    let top: &[&str] = &[
        "",
        "",
        "",
        "",
        "",
        "",
        "ci.defaults({retries = 1})",
        "print('top', #ci.glob('*'))",
        "ci.job('x1', function(rt) rt.sh(ci.read('x')) end)",
        "local t = {} for i = 1, 400 do t[i] = i end",
        "ci.job('j1', function() end)",
        "ci.image('debian:13')",
        "error('the top level breaks')",
        "this is no Lua",
    ];
    // What breaks a pipeline is rare.
    let from = if bytes.chance(16) { 0 } else { 6 };
    let line = bytes.pick(&top[..top.len() - from]);
    let _ = writeln!(text, "{line}");
    // About the same work in all, however many share it.
    let (jobs, most) = bytes.pick(&[(1, 24), (1, 24), (1, 24), (2, 13), (1, 24), (2, 13), (2, 13), (3, 8), (4, 8)]);
    let most = if is_short { most * 2 / 3 } else { most };
    for index in 0..jobs {
        let needs = job(bytes, index, most, text);
        pipeline.needs.insert(JobId::from_record(&format!("j{index}")), needs);
    }
    pipeline
}

fn job(bytes: &mut Bytes<'_>, index: usize, most: usize, text: &mut String) -> &'static str {
    let mut inputs: Vec<String> = (0..index).filter(|_| bytes.chance(80)).map(|input| format!("'j{input}'")).collect();
    if bytes.chance(12) {
        inputs.push("'quire/manual'".to_owned());
    }
    let inputs = if inputs.is_empty() { "nil".to_owned() } else { format!("{{{}}}", inputs.join(", ")) };
    let mut options = Vec::new();
    for option in ["timeout = 7", "retries = 1", "allow_failure = true", "env = {A = 'b'}", "cwd = 'sub'"] {
        if bytes.chance(40) {
            options.push(option.to_owned());
        }
    }
    let needs = bytes.pick(&["complete", "complete", "unfailed", "finished"]);
    options.push(format!("needs = '{needs}'"));
    let _ = writeln!(text, "ci.job('j{index}', {inputs}, {{{}}}, function(rt)", options.join(", "));
    let count = usize::from(bytes.byte());
    // Seldom few; none where there are no bytes.
    for _ in 0..if count < 32 { count % most } else { most / 2 + count % (most / 2) } {
        statement(bytes, index, text);
    }
    let end =
        ["", "", "return {n = rt.id}", "return {s = rt.secret('token')}", "return rt.sh('ok')", "error('at the end')"];
    let _ = writeln!(text, "{} end)", bytes.pick(&end));
    needs
}

/// One statement of a job's function.
fn statement(bytes: &mut Bytes<'_>, job: usize, text: &mut String) {
    let cmd = bytes.pick(COMMANDS);
    let kind = bytes.byte() % 32;
    let options: &[&str] = &[
        ", {check = false}",
        ", {check = false}",
        ", {check = false}",
        "",
        ", {check = false, timeout = 2}",
        ", {retries = 1}",
        ", {merge = true, check = false, timeout = 3}",
        ", {check = false, stdin = 'in', env = {X = '1'}}",
        ", {check = false, capture = 'tail'}",
    ];
    let option = bytes.pick(options);
    let apart = bytes.pick(&["", ", {check = false}", ", {timeout = 3, check = false}"]);
    let _ = match kind {
        0..4 => writeln!(text, "rt.sh('{cmd}'{option})"),
        4 => writeln!(text, "pcall(rt.sh, '{cmd}'{option})"),
        5 => writeln!(text, "rt.spawn('aside; {cmd}'{apart})"),
        6 => {
            let end = bytes.pick(&["pcall(h.wait, h)", "h:wait()", "h:stop()"]);
            writeln!(text, "do local h = rt.spawn('aside; {cmd}'{apart}) rt.sh('ok') {end} end")
        }
        7 => writeln!(text, "pcall(rt.all, {{'aside; {cmd}', 'aside; {}', 'aside; ok'}})", bytes.pick(COMMANDS)),
        8 => writeln!(text, "rt.defer(function() rt.sh('{cmd}') end)"),
        9 => writeln!(text, "rt.defer(function() rt.spawn('aside; sleep 1; fail 1') rt.log('deferred') end)"),
        10 => writeln!(text, "if math.random(5) == 1 then rt.skip('by chance') end"),
        11 => writeln!(text, "for k, v in pairs({{b = {{}}, a = math.random(9), [7] = 1}}) do rt.log(k, v) end"),
        12 => writeln!(text, "rt.log(pcall(rt.read_file, 'x'), pcall(rt.read_file, 'no'), rt)"),
        13 => writeln!(text, "pcall(rt.write_file, 'y' .. rt.id, 'z')"),
        14 => writeln!(text, "if rt.attempt == 1 then error({{}}) end"),
        15 if job > 0 => writeln!(text, "rt.log(pcall(rt.jobs, 'j{}'))", bytes.under(job)),
        16 => {
            let hidden = hidden(&format!("j{job}"));
            writeln!(text, "rt.mask('{hidden}') rt.log('{hidden}') rt.sh('put a{hidden}b; err {hidden}')")
        }
        17 => writeln!(text, "rt.log('the token is ' .. rt.secret('token'), rt.env('HOME'), rt.params.p)"),
        18 => writeln!(text, "rt.spawn('serve; print up; sleep 50', {{service = true}})"),
        19 => writeln!(text, "rt.log(rt.out('print ' .. rt.id .. math.random(9)))"),
        20 => writeln!(text, "rt.sh({{'print', rt.secret('token')}}, {{check = false}})"),
        _ => writeln!(text, "for i = 1, {} do rt.sh('print ' .. i{option}) end", 1 + bytes.under(12)),
    };
}
