//! A Windows by Wine, in a temporary folder, with the agent's program on its drive.

use std::{
    env, fs,
    io::Read as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// Wine and what is in it.
pub(crate) struct Prefix {
    folder: tempfile::TempDir,
    /// A program that waits for input: without one, Wine ends all services.
    holder: Option<Child>,
}

impl Prefix {
    /// A new Windows whose COM2 is what the link `port` leads to.
    pub(crate) fn new(programs: &[PathBuf], port: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut prefix = Self { folder, holder: None };
        let made = prefix.command("wine").args(["wineboot", "--init"]).output().expect("wine");
        assert!(made.status.success(), "wineboot: {made:?}");
        prefix.command("wineserver").arg("--wait").status().expect("wineserver");
        prefix.give_random_numbers();
        for program in programs {
            fs::copy(program, prefix.drive().join(program.file_name().expect("a name")))
                .expect("a copied program");
        }
        // read when Wine starts
        symlink(port, prefix.folder.path().join("dosdevices/com2")).expect("COM2");
        let mut holder = prefix.command("wine");
        let mut holder =
            holder.arg("cmd").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wine");
        holder.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("a prompt");
        prefix.holder = Some(holder);
        prefix
    }

    /// The folder of drive C.
    pub(crate) fn drive(&self) -> PathBuf {
        self.folder.path().join("drive_c")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", self.folder.path())
            .env("WINEDEBUG", "-all")
            // no questions about other packages, no menu entries
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=;winemenubuilder.exe=d")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs a program of that Windows to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command("wine").args(arguments).stderr(Stdio::piped()).output().expect("wine")
    }

    /// Starts a program of that Windows.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command("wine").args(arguments).stdout(Stdio::null()).spawn().expect("wine")
    }

    /// What a program of that Windows says, which must end well.
    pub(crate) fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    /// Rust's standard library takes random numbers from bcryptprimitives.dll, which Wine has since version 9 or so.
    /// Where it lacks, a DLL stands in that leads on to what Wine has.
    fn give_random_numbers(&self) {
        let library = self.drive().join("windows/system32/bcryptprimitives.dll");
        if library.exists() {
            return;
        }
        let work = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| work.path().join(name);
        fs::write(at("empty.rs"), "#![no_std]\n").expect("a source");
        fs::write(
            at("forward.def"),
            "LIBRARY bcryptprimitives\nEXPORTS\n  ProcessPrng=advapi32.SystemFunction036\n",
        )
        .expect("a definition");
        let run = |command: &mut Command| {
            let output = command.current_dir(work.path()).output().expect("a program of Rust's");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).expect("text")
        };
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let object =
            ["--target", "x86_64-pc-windows-gnu", "--crate-type", "lib", "--emit", "obj", "empty.rs"];
        run(Command::new(&rustc).args(object));
        let libraries = run(Command::new(&rustc).args(["--print", "target-libdir"]));
        let linker = Path::new(libraries.trim()).with_file_name("bin").join("rust-lld");
        run(Command::new(linker).args(["-flavor", "link", "/dll", "/noentry", "/machine:x64"]).args([
            "/def:forward.def",
            "empty.o",
            "/out:bcryptprimitives.dll",
        ]));
        fs::copy(at("bcryptprimitives.dll"), library).expect("a copied library");
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let _ = self.command("wineserver").arg("--kill").status();
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
        // what is removed with the folder must not be written meanwhile
        let _ = self.command("wineserver").arg("--wait").status();
    }
}
