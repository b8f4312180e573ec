//! A broker that refuses who comes: the host says so, keeps trying, and works as soon as it is let in.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::application::Application;
use weir_tests::host::{HostOptions, WeirHost, plugin_folder, weir_binary};
use weir_tests::kafka::{PASSWORD, USER};
use weir_tests::wait;

const READY_WAIT: Duration = Duration::from_secs(60);
const VERDICTS_WAIT: Duration = Duration::from_secs(60);
/// A host says soon why it is not ready: the first attempt knows.
const REASON_WAIT: Duration = Duration::from_secs(5);
/// For so long it is watched trying again: longer than an attempt and the longest pause between two.
const TRYING: Duration = Duration::from_secs(8);
/// Broker not reached.
const EXIT_UNREACHABLE: i32 = 5;

fn properties(password: &str) -> [(&'static str, String); 4] {
    [
        ("security.protocol", "sasl_plaintext".into()),
        ("sasl.mechanisms", "PLAIN".into()),
        ("sasl.username", USER.into()),
        ("sasl.password", password.into()),
    ]
}

fn host(application: &Application, password: &str) -> HostOptions {
    let options = application.host("a").bootstrap(application.kafka.sasl_address());
    properties(password).iter().fold(options, |options, (key, value)| options.kafka_property(key, value))
}

fn check(application: &Application, password: &str) -> Result<Output> {
    let mut command = Command::new(weir_binary()?);
    command.arg("check").arg(application.topology()).arg("--plugin-dir").arg(plugin_folder());
    command.args(["--connect", "--bootstrap", &application.kafka.sasl_address()]);
    for (key, value) in properties(password) {
        command.args(["--kafka-property".to_owned(), format!("{key}={value}")]);
    }
    command.output().context("cannot start weir check")
}

#[test]
fn a_check_with_the_wrong_password_names_the_broker_that_refused_it() -> Result<()> {
    let application = Application::of_orders("refused-check")?;
    let refused = check(&application, "wrong")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(EXIT_UNREACHABLE), "{}: {said}", refused.status);
    let wanted = format!("authentication refused by {}", application.kafka.sasl_address());
    ensure!(said.contains(&wanted) && said.contains("sasl.*"), "{said}");
    ensure!(!said.contains("wrong"), "a password is nobody's business: {said}");
    let let_in = check(&application, PASSWORD)?;
    ensure!(let_in.status.success(), "{}: {}", let_in.status, String::from_utf8_lossy(&let_in.stderr));
    Ok(())
}

#[test]
fn a_host_with_the_wrong_password_says_so_and_keeps_trying_and_with_the_right_one_it_works() -> Result<()> {
    let application = Application::of_orders("refused-host")?;
    let mut refused = WeirHost::start(&host(&application, "wrong"))?;
    let wanted = format!("authentication refused by {}", application.kafka.sasl_address());
    let told = wait::until("readyz names the refusal", REASON_WAIT, || {
        let Ok((status, reason)) = refused.get("/readyz") else { return Ok(None) }; // REST is not up yet
        ensure!(status == 503, "a host without a broker is ready: {reason}");
        Ok(reason.contains(&wanted).then(Instant::now))
    })?;
    let attempts = |host: &WeirHost| host.log().matches("SASL authentication error").count();
    while told.elapsed() < TRYING {
        let (status, reason) = refused.get("/readyz")?;
        ensure!(status == 503 && reason.contains(&wanted), "{status}: {reason}");
        ensure!(refused.get("/livez")?.0 == 200, "a host that waits for its broker lives");
        ensure!(refused.exit_status()?.is_none(), "it gave up: {}", refused.log());
        std::thread::sleep(Duration::from_millis(250));
    }
    ensure!(attempts(&refused) > 1, "it tries no more: {}", refused.log());
    ensure!(refused.terminate()?.success(), "a host that waits is stopped like any other");

    let let_in = WeirHost::start_ready(&host(&application, PASSWORD), READY_WAIT)?;
    application.kafka.produce_orders(&application.input(), 0..100, None)?;
    application.check(0..100, VERDICTS_WAIT)?;
    ensure!(let_in.terminate()?.success());
    let log = fs::read_to_string(application.state_dir("a").with_extension("log"))?;
    ensure!(!log.contains("sasl.password"), "a password is nobody's business: {log}");
    Ok(())
}
