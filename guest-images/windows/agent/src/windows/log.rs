//! The agent's own log, a few lines: into a file when it runs as a service, where it has no other.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    sync::Mutex,
};

/// Where lines go.
pub(super) struct Log(Option<Mutex<File>>);

impl Log {
    /// To standard error.
    pub(super) fn console() -> Self {
        Self(None)
    }

    /// Into `%ProgramData%\cancelnic\agent.log`, begun anew; to standard error if that cannot be written.
    pub(super) fn file() -> Self {
        let folder = PathBuf::from(env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into()));
        let folder = folder.join("cancelnic");
        let made = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join("agent.log")));
        Self(made.ok().map(Mutex::new))
    }

    /// Writes a line.
    pub(super) fn line(&self, text: &str) {
        match &self.0 {
            Some(file) => {
                if let Ok(mut file) = file.lock() {
                    // a log that cannot be written is told nobody
                    let _ = writeln!(file, "{text}");
                }
            }
            None => eprintln!("cancelnic-agent: {text}"),
        }
    }
}
