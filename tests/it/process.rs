//! A local system in a process of its own, killed and started again at will.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// The process. It ends with the test.
pub(crate) struct SystemProcess {
    data: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl SystemProcess {
    /// A process on `data`, not started yet, that keeps its port over restarts.
    pub(crate) fn new(data: PathBuf) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        Self { data, port, child: None }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_system"))
            .arg(&self.data)
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built with the tests");
        self.child = Some(child);
    }

    /// SIGKILL: nothing in the process gets a chance to tidy up.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it runs until it is killed");
        }
    }
}
