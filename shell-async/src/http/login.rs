//! The one-time login link that the server prints at its start.

use hyper::header::SET_COOKIE;
use hyper::{Method, Response};

use super::access::SESSION_COOKIE;
use super::answers::{self, Answer};
use super::failure::Failure;
use super::respond::Call;

/// `GET /login/{link}`: uses the link up, begins a session. `HEAD` uses nothing up.
pub(super) async fn login(call: &Call) -> Result<Answer, Failure> {
    if call.method == Method::HEAD {
        return Ok(Response::new(answers::empty()));
    }
    let signed_in = call.site.credentials.sign_in(call.named.part("link")).await?;
    let signed_in = signed_in.ok_or_else(|| {
        Failure::not_found("this login link was used already, or is none: `quire serve` prints a new one at each start")
    })?;
    let is_secure = call.config.url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let mut answer = answers::elsewhere("/");
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}",
        signed_in.session,
        signed_in.lasts.as_secs(),
        if is_secure { "; Secure" } else { "" }
    );
    answers::set(&mut answer, SET_COOKIE, &cookie);
    answers::set(&mut answer, hyper::header::REFERRER_POLICY, "no-referrer");
    Ok(answer)
}
