//! System packages: looked for by a file of theirs, installed by apt-get where there is one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::kafka;
use crate::paths::find_program;
use crate::process::{capture, run};
use crate::step::step;

/// Kafka 4 runs on this release of Java or a later one.
const JAVA_MIN: u32 = 17;

struct Package {
    name: &'static str,
    why: &'static str,
    is_there: fn() -> bool,
}

#[rustfmt::skip]
const PACKAGES: &[Package] = &[
    Package { name: "g++",        why: "librdkafka is built from source",  is_there: || program("g++") && program("make") },
    Package { name: "make",       why: "librdkafka is built from source",  is_there: || program("make") },
    Package { name: "cmake",      why: "librdkafka is built from source",  is_there: || program("cmake") },
    Package { name: "pkg-config", why: "finds OpenSSL",                    is_there: || program("pkg-config") },
    Package { name: "libssl-dev", why: "TLS and SASL to Kafka",            is_there: || header("openssl/ssl.h") },
    Package { name: "zlib1g-dev", why: "compressed record batches",        is_there: || header("zlib.h") },
    Package { name: "default-jre-headless", why: "runs Apache Kafka",      is_there: || java_release().is_some_and(|java| java >= JAVA_MIN) },
    Package { name: "maven",      why: "fetches Apache Kafka",             is_there: || program("mvn") || kafka::has_jars() },
    Package { name: "python3-venv", why: "Python and C guests, benchmarks", is_there: super::python::can_make_venv },
];

fn program(name: &str) -> bool {
    find_program(name).is_some()
}

fn header(name: &str) -> bool {
    const MULTIARCH: [&str; 3] = ["", "x86_64-linux-gnu/", "aarch64-linux-gnu/"];
    let roots = ["/usr/include/", "/usr/local/include/", "/opt/homebrew/include/"];
    roots.iter().any(|root| MULTIARCH.iter().any(|arch| Path::new(&format!("{root}{arch}{name}")).is_file()))
}

/// 17 of `openjdk version "17.0.15"`. `java -version` takes a third of a second, a release file none.
fn java_release() -> Option<u32> {
    let java = find_program("java")?.canonicalize().ok()?;
    let release = java.parent()?.parent()?.join("release");
    let text = std::fs::read_to_string(release).ok().or_else(|| {
        let output = Command::new(java).arg("-version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    })?;
    let version = text.lines().find(|line| line.starts_with("JAVA_VERSION=") || line.contains("version"))?;
    version.split('"').nth(1)?.split('.').next()?.parse().ok()
}

/// Installs the packages that are not there.
pub fn install_missing() -> Result<()> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !(package.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("    missing  {} ({})", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    install(&names)?;
    match missing.iter().find(|package| !(package.is_there)()) {
        Some(package) => bail!(
            "{} was installed, yet what it should bring is not found ({}): check PATH and the version",
            package.name,
            package.why
        ),
        None => Ok(()),
    }
}

/// `apt-get install`, as root or by sudo.
pub fn install(names: &[&str]) -> Result<()> {
    let by_hand = || format!("install by hand what Debian calls: {}", names.join(" "));
    if !program("apt-get") {
        bail!("this machine has no apt-get: {}", by_hand());
    }
    step("apt-get", &names.join(" "), || {
        // The packages' lists may be absent or old on a new machine.
        capture(&mut apt_get(&["update", "-qq"])?)?;
        run(apt_get(&["install", "-qq", "-y", "--no-install-recommends"])?.args(names))
    })
    .with_context(by_hand)
}

fn apt_get(arguments: &[&str]) -> Result<Command> {
    let is_root = capture(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new(if is_root { "env" } else { "sudo" });
    if !is_root {
        command.args(["-n", "env"]);
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
    Ok(command)
}
