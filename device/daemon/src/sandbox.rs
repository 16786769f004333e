//! What the process gives up once everything is open: files, networks, new programs. A front end or a
//! guest that finds a hole in the NIC then holds a process that can compute and talk over the descriptors
//! it already has. Works the same for root and for an ordinary user.
//!
//! Must be entered before the first thread is started: threads inherit it from the one that starts them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The newest Landlock interface whose rights are asked for; older kernels enforce what they know.
const LANDLOCK: ABI = ABI::V6;

/// Gives up what is not needed any more. `folders` are those that our sockets are removed from at the end.
pub(crate) fn enter<'a>(folders: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    restrict_files(folders).context("Landlock")?;
    let filter = syscall_filter().context("building the seccomp filter")?;
    match seccompiler::apply_filter(&filter) {
        Ok(()) => Ok(()),
        Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error))
            if error.raw_os_error() == Some(libc::EINVAL) =>
        {
            tracing::warn!("this kernel has no seccomp filters: going on without");
            Ok(())
        }
        Err(error) => Err(anyhow!("seccomp: {error}")),
    }
}

/// No file can be opened or made, no TCP port used; in `folders` files can be removed.
fn restrict_files<'a>(folders: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .create()?;
    for folder in folders {
        let opened = PathFd::new(folder)?;
        rules = rules.add_rule(PathBeneath::new(opened, AccessFs::RemoveFile))?;
    }
    match rules.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => {
            tracing::warn!(
                "this kernel has no Landlock: going on without; seccomp still forbids opening files"
            );
        }
        RulesetStatus::PartiallyEnforced => {
            tracing::debug!("Landlock enforced as far as this kernel knows it")
        }
        RulesetStatus::FullyEnforced => tracing::debug!("Landlock enforced"),
    }
    Ok(())
}

/// The system calls that a running device makes. Any other fails with EPERM: the device must not die
/// while a guest runs, and a refused call does no harm.
fn syscall_filter() -> anyhow::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, vec![])).collect();
    // Memory that can be executed is never needed: PROT_EXEC is in argument 2 of both calls.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not_executable = SeccompCondition::new(
            2,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(libc::PROT_EXEC.cast_unsigned().into()),
            0,
        )?;
        rules.insert(call, vec![SeccompRule::new(vec![not_executable])?]);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

const ALLOWED: &[i64] = &[
    // data over descriptors that are open
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_accept4,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_ioctl,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    // removing our sockets
    libc::SYS_unlinkat,
    // memory (mmap and mprotect with a condition, above)
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_getrandom,
    // threads, time, signals
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_prctl,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // what the C library uses for the same on x86_64
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn sandbox_forbids_opening_files_but_not_removing_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, other) = (dir.path().join("ours"), dir.path().join("other"));
        fs::write(&ours, b"").unwrap();
        fs::write(&other, b"secret").unwrap();
        // On a thread of its own: filters hold for the thread that asks for them.
        let folder = dir.path().to_owned();
        let (read, made, removed) = std::thread::spawn(move || {
            enter([folder.as_path()]).unwrap();
            (fs::read(&other), fs::write(folder.join("new"), b""), fs::remove_file(&ours))
        })
        .join()
        .unwrap();
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        assert_eq!(made.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        removed.unwrap();
    }

    #[test]
    fn sandbox_lets_threads_start_and_talk() {
        std::thread::spawn(|| {
            enter([]).unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            let thread =
                std::thread::Builder::new().name("inner".into()).spawn(move || sender.send(7)).unwrap();
            assert_eq!(receiver.recv().unwrap(), 7);
            thread.join().unwrap().unwrap();
        })
        .join()
        .unwrap();
    }
}
