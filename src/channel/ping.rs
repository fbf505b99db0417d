//! Tells an address outside that all is well. What it answers is of no interest, as long as it says yes.

use std::time::Duration;

/// Longer than any answer takes that is worth waiting for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for `url` once. The reason never repeats the address: it may hold a key.
pub(crate) async fn ping(url: &str) -> Result<(), String> {
    crate::channel::install_tls();
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.without_url().to_string())?;
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("it answered {}", answer.status()))
    }
}
