//! Starting processes that end with this one.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};

/// What is to be started, and where the child goes.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts them all. The signal that a parent has died is sent when the *thread* that forked ends (`PR_SET_PDEATHSIG`),
/// and the threads of tests end before the tests do.
static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
    let (orders, received) = channel();
    std::thread::spawn(move || start(&received));
    Mutex::new(orders)
});

fn start(orders: &Receiver<Order>) {
    for (mut command, answer) in orders {
        // Nobody waits for the answer of one who has gone.
        let _ = answer.send(command.spawn());
    }
}

/// Starts a process that logs into the folder and, where `setpriv` is there, dies with this one even if this one
/// is killed.
pub(crate) fn spawn(binary: &Path, folder: &Path, name: &str, flags: &[String]) -> io::Result<Child> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    let dies_with_us = Path::new("/usr/bin/setpriv").is_file();
    let mut command = if dies_with_us {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binary);
        command
    } else {
        Command::new(binary)
    };
    // Who calls webhooks is here as well.
    for proxy in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.args(flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let (answer, child) = channel();
    let ordered = STARTER.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    let child = ordered.ok().and_then(|()| child.recv().ok());
    child.unwrap_or_else(|| Err(io::Error::other("the thread that starts processes has ended")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let asked = std::thread::spawn(move || {
            let script = ["-c", "echo started; sleep 1"].map(str::to_owned);
            let child = spawn(Path::new("sh"), &path, "child", &script).unwrap();
            // Only what has started already can be told of a death.
            while std::fs::read_to_string(path.join("child.log")).unwrap().is_empty() {
                std::thread::yield_now();
            }
            child
        });
        let status = asked.join().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
    }
}
