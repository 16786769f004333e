//! The command line. Everything that a user can get wrong is refused here, in one line and with exit
//! code 2, before a socket or a file is touched. Knows nothing of vhost-user or of the NIC's inside.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};

/// Queue sizes that a split ring can have (virtio 1.3 §2.7: a power of 2, at most 32768).
const QUEUE_SIZES: std::ops::RangeInclusive<u16> = 2..=32768;
/// The smallest MTU that virtio allows (§5.1.4.1) to the largest that its 16-bit field holds.
const MTUS: std::ops::RangeInclusive<i64> = 68..=65535;

/// How the process and QEMU are started together.
const EXAMPLE: &str = "\
Example: a NIC of 10 Mbit/s whose frames come back, its capture, and the QEMU that uses it:

  vhost-device-cancelnic --socket-path /tmp/nic.sock --speed 10M \\
    --wire loopback --capture nic.pcapng &
  qemu-system-x86_64 -machine q35,memory-backend=ram -m 512M \\
    -object memory-backend-memfd,id=ram,size=512M,share=on \\
    -chardev socket,id=nic,path=/tmp/nic.sock \\
    -device vhost-user-test-device-pci,chardev=nic,virtio-id=1,\\
num_vqs=2,vq_size=1024,config_size=256 ...";

/// A virtio NIC with registers that take transmits back, as a vhost-user back end.
///
/// It serves one front end, such as QEMU's vhost-user-test-device-pci, and exits with code 0 when the front end leaves.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "vhost-device-cancelnic", version, after_help = EXAMPLE, group(ArgGroup::new("where").required(true).args(["socket_path", "fd"])))]
pub(crate) struct Cli {
    /// Listen on this Unix socket for the front end
    #[arg(long, value_name = "PATH")]
    pub(crate) socket_path: Option<PathBuf>,

    /// Use the inherited descriptor N, a Unix socket that listens already, in place of --socket-path
    #[arg(long, value_name = "N", value_parser = parse_fd)]
    pub(crate) fd: Option<RawFd>,

    /// Print the back end's capabilities as JSON and exit; all other options are ignored
    #[arg(long)]
    pub(crate) print_capabilities: bool,

    /// Largest ring in entries: a power of 2 from 2 to 32768. QEMU accepts at most 1024; set its vq_size to the same
    /// number
    #[arg(long, value_name = "N", default_value = "1024", value_parser = parse_queue_size)]
    pub(crate) queue_size: u16,

    /// MAC address of the NIC: six bytes in hexadecimal, unicast
    #[arg(long, value_name = "MAC", default_value = "52:54:00:43:4e:01", value_parser = parse_mac)]
    pub(crate) mac: Mac,

    /// Largest payload of a frame in bytes, without Ethernet header
    #[arg(long, value_name = "N", default_value = "1500", value_parser = clap::value_parser!(u16).range(MTUS))]
    pub(crate) mtu: u16,

    /// Link speed in bits per second (500K, 10M, 1G), or `unlimited`: frames take no time on the wire
    #[arg(long, value_name = "SPEED", default_value = "unlimited", value_parser = parse_speed)]
    pub(crate) speed: Speed,

    /// Number of frames that the transmit queue fetches ahead of the wire
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=32768))]
    pub(crate) fifo_depth: u16,

    /// Far end of the wire: `null` (no frame comes back); `loopback` (every frame comes back); `stream:SOCKET` (as QEMU's
    /// -netdev stream: connects to who listens there when the device starts, or else listens there); `dgram:OURS,THEIRS` (as
    /// QEMU's -netdev dgram, with two Unix sockets); `tap:NAME` (a network interface of this host); `replay:FILE` (the frames of
    /// a pcapng file's first interface come, at their own pace)
    #[arg(long, value_name = "KIND[:ARG]", default_value = "null", value_parser = parse_wire)]
    pub(crate) wire: WireKind,

    /// Listen on this Unix socket (mode 0600) for control clients, which hold gates, read statistics and inject frames:
    /// JSON-RPC 2.0, one object per line
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,

    /// Write a pcapng capture: sent and received frames on one interface, frames taken back on another
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,

    /// Write a Chrome trace (JSON) of the queues: states, commands, doorbells, interrupts, counters and the judge's findings
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,

    /// Do not offer transmit cancel: the register bit CAPS.TX_CANCEL is 0
    #[arg(long)]
    pub(crate) no_cancel: bool,

    /// Check how the driver uses its queues and report violations in the statistics
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub(crate) judge: Judging,

    /// Clock of the wire: `real`, or `manual`, which only `clock.advance` on the control socket moves
    #[arg(long, value_name = "CLOCK", default_value = "real")]
    pub(crate) clock: ClockKind,

    /// Under load, look for work for that long before sleeping, and ask for no doorbells meanwhile: 0 to 1000000; 0 never
    #[arg(long, value_name = "MICROSECONDS", default_value = "50", value_parser = parse_poll)]
    pub(crate) poll: Duration,

    /// Least severe messages that are logged to stderr
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LogLevel,
}

/// A MAC address in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mac(pub [u8; 6]);

/// Speed of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speed {
    /// Bits per second, at least 1000.
    BitsPerSecond(u64),
    /// A frame takes no time on the wire.
    Unlimited,
}

/// What is at the far end of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireKind {
    /// Nothing ever comes back.
    Null,
    /// Every frame comes back at once.
    Loopback,
    /// A Unix stream socket.
    Stream(PathBuf),
    /// Two Unix datagram sockets.
    Dgram {
        /// The device's.
        ours: PathBuf,
        /// The peer's.
        theirs: PathBuf,
    },
    /// A TAP interface of that name.
    Tap(String),
    /// A recording.
    Replay(PathBuf),
}

impl WireKind {
    /// Its path on the device's side.
    fn path(&self) -> Option<&PathBuf> {
        match self {
            WireKind::Stream(path) | WireKind::Replay(path) | WireKind::Dgram { ours: path, .. } => {
                Some(path)
            }
            WireKind::Null | WireKind::Loopback | WireKind::Tap(_) => None,
        }
    }
}

/// Where the wire's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockKind {
    /// The machine's monotonic clock.
    Real,
    /// It stands still but for `clock.advance`.
    Manual,
}

/// Whether the driver is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judging {
    /// What it must not do is named.
    On,
    /// Nobody looks: a frame takes less time (device/README.md).
    Off,
}

/// Least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Only what ends the process.
    Error,
    /// Also what guest or front end did wrong.
    Warn,
    /// Also connection, life of the queues.
    Info,
    /// Also every vhost-user message that matters.
    Debug,
    /// Everything.
    Trace,
}

/// Why there is no command to carry out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CliExit {
    /// Asked for help, version or capabilities: text for stdout, exit code 0.
    Print(String),
    /// The command line is wrong: one line for stderr, exit code 2.
    Usage(String),
}

impl Cli {
    /// Reads the command line (`args` with the program's name first).
    pub(crate) fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Cli, CliExit> {
        let args: Vec<OsString> = args.into_iter().collect();
        // The vhost-user back-end conventions: this option wins over all others, wrong ones included.
        if args.iter().skip(1).any(|arg| arg == "--print-capabilities") {
            return Err(CliExit::Print(capabilities()));
        }
        let cli = Cli::try_parse_from(args).map_err(|error| {
            if error.use_stderr() {
                CliExit::Usage(one_line(&error.to_string()))
            } else {
                CliExit::Print(error.to_string())
            }
        })?;
        match cli.same_path_twice() {
            None => Ok(cli),
            Some((one, other)) => {
                Err(CliExit::Usage(one_line(&format!("{one} and {other} name the same path"))))
            }
        }
    }

    /// Two options that name one path: each wants it for itself.
    fn same_path_twice(&self) -> Option<(&'static str, &'static str)> {
        let paths = [
            ("--socket-path", self.socket_path.as_ref()),
            ("--control", self.control.as_ref()),
            ("--capture", self.capture.as_ref()),
            ("--trace", self.trace.as_ref()),
            ("--wire", self.wire.path()),
        ];
        let named: Vec<_> = paths
            .iter()
            .filter_map(|(option, path)| Some((*option, std::path::absolute(path.as_ref()?).ok()?)))
            .collect();
        named.iter().enumerate().find_map(|(at, (one, path))| {
            named.iter().skip(at + 1).find(|(_, other)| other == path).map(|(other, _)| (*one, *other))
        })
    }
}

/// The answer to `--print-capabilities` (vhost-user, "Backend program conventions").
fn capabilities() -> String {
    format!("{:#}\n", serde_json::json!({ "type": "net", "features": [] }))
}

/// Folds clap's several lines into one that says what is wrong and where to read more.
fn one_line(text: &str) -> String {
    let parts: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let text = parts.join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{text} (see --help)")
}

fn parse_fd(text: &str) -> Result<RawFd, String> {
    match text.parse::<RawFd>() {
        Ok(fd) if fd > 2 => Ok(fd),
        _ => Err("a descriptor number above 2 is needed".into()),
    }
}

fn parse_poll(text: &str) -> Result<Duration, String> {
    let micros = text.parse().ok().filter(|micros| *micros <= 1_000_000);
    micros.map(Duration::from_micros).ok_or_else(|| "not a number from 0 to 1000000".into())
}

fn parse_queue_size(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(size) if QUEUE_SIZES.contains(&size) && size.is_power_of_two() => Ok(size),
        _ => Err(format!("a power of 2 from {} to {} is needed", QUEUE_SIZES.start(), QUEUE_SIZES.end())),
    }
}

fn parse_mac(text: &str) -> Result<Mac, String> {
    let wrong = || "six bytes in hexadecimal are needed, such as 52:54:00:43:4e:01".to_string();
    let mut mac = [0u8; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
        if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() {
        return Err(wrong());
    }
    if mac[0] & 1 != 0 || mac == [0; 6] {
        return Err("a NIC's own address is unicast and not zero: bit 0 of the first byte must be 0".into());
    }
    Ok(Mac(mac))
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "unlimited" {
        return Ok(Speed::Unlimited);
    }
    let wrong = || "a whole number with K, M or G (bits per second), or `unlimited`, is needed".to_string();
    let unit = match text.bytes().last() {
        Some(b'K') => 1_000,
        Some(b'M') => 1_000_000,
        Some(b'G') => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).unwrap_or_default();
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        Some(speed @ 1_000..=1_000_000_000_000) => Ok(Speed::BitsPerSecond(speed)),
        _ => Err("a speed from 1K to 1000G is needed".into()),
    }
}

fn parse_wire(text: &str) -> Result<WireKind, String> {
    let (kind, argument) = match text.split_once(':') {
        Some((kind, argument)) => (kind, Some(argument).filter(|argument| !argument.is_empty())),
        None => (text, None),
    };
    let path =
        |what: &str| argument.map(PathBuf::from).ok_or_else(|| format!("`{kind}:` and {what} is needed"));
    match kind {
        "null" | "loopback" if text.contains(':') => Err("`null` and `loopback` take no argument".into()),
        "null" => Ok(WireKind::Null),
        "loopback" => Ok(WireKind::Loopback),
        "stream" => path("a socket's path").map(WireKind::Stream),
        "replay" => path("a pcapng file").map(WireKind::Replay),
        "dgram" => {
            match argument.and_then(|paths| paths.split_once(',')) {
                Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() && ours != theirs => {
                    Ok(WireKind::Dgram { ours: ours.into(), theirs: theirs.into() })
                }
                _ => Err("`dgram:` and two paths with a comma between them are needed: ours, and the peer's"
                    .into()),
            }
        }
        "tap" => match argument {
            Some(name) if name.len() < libc::IFNAMSIZ && !name.contains(['/', '\0']) => {
                Ok(WireKind::Tap(name.into()))
            }
            _ => Err(format!(
                "`tap:` and an interface's name of at most {} bytes are needed",
                libc::IFNAMSIZ - 1
            )),
        },
        _ => Err("the wires are `null`, `loopback`, `stream:`, `dgram:`, `tap:` and `replay:`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest ring that QEMU gives a virtqueue (VIRTQUEUE_MAX_SIZE).
    const QEMU_QUEUE_SIZE: u16 = 1024;

    fn parse(args: &[&str]) -> Result<Cli, CliExit> {
        let program = OsString::from("vhost-device-cancelnic");
        Cli::from_args(std::iter::once(program).chain(args.iter().map(OsString::from)))
    }

    fn usage(args: &[&str]) -> String {
        match parse(args) {
            Err(CliExit::Usage(line)) => line,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn cli_defaults_are_those_of_the_contract() {
        let cli = parse(&["--socket-path", "/tmp/s"]).unwrap();
        assert_eq!((cli.queue_size, cli.fifo_depth, cli.mtu), (1024, 64, 1500));
        assert_eq!((cli.speed, cli.wire, cli.clock), (Speed::Unlimited, WireKind::Null, ClockKind::Real));
        assert!(!cli.no_cancel && cli.control.is_none() && cli.capture.is_none());
    }

    #[test]
    fn cli_usage_error_is_one_line_that_names_the_option() {
        for (args, part) in [
            (&["--socket-path", "s", "--queue-size", "1000"][..], "power of 2"),
            (&["--socket-path", "s", "--mac", "01:00:00:00:00:01"], "unicast"),
            (&["--socket-path", "s", "--mac", "+1:00:00:00:00:01"], "hexadecimal"),
            (&["--socket-path", "s", "--mtu", "67"], "--mtu"),
            (&["--socket-path", "s", "--speed", "10"], "--speed"),
            (&["--socket-path", "s", "--speed", "0M"], "--speed"),
            (&["--socket-path", "s", "--fifo-depth", "0"], "--fifo-depth"),
            (&["--socket-path", "s", "--wire", "tap:a-name-that-is-too-long"], "--wire"),
            (&["--socket-path", "s", "--wire", "stream:"], "a socket's path"),
            (&["--socket-path", "s", "--wire", "dgram:only-one"], "two paths"),
            (&["--socket-path", "s", "--wire", "null:"], "no argument"),
            (&["--socket-path", "s", "--wire", "air"], "the wires are"),
            (&["--socket-path", "s", "--wire", "stream:./s"], "--wire name the same path"),
            (&["--socket-path", "s", "--clock", "fast"], "--clock"),
            (&["--socket-path", "s", "--judge", "maybe"], "--judge"),
            (&["--socket-path", "s", "--fd", "3"], "--fd"),
            (&["--fd", "1"], "--fd"),
            (&["--sock"], "--sock"),
            (&[], "--socket-path"),
            (&["--socket-path", "s", "--control", "./s"], "--control name the same path"),
            (&["--socket-path", "s", "--capture", "s"], "--capture name the same path"),
            (&["--socket-path", "s", "--trace", "t", "--capture", "t"], "--trace name the same path"),
            (&["--fd", "7", "--control", "c", "--capture", "c"], "--capture name the same path"),
        ] {
            let line = usage(args);
            assert!(line.contains(part), "{args:?}: {line}");
            assert!(!line.contains('\n') && line.ends_with("(see --help)"), "{args:?}: {line:?}");
        }
    }

    #[test]
    fn cli_speed_is_in_bits_per_second() {
        assert_eq!(parse_speed("500K"), Ok(Speed::BitsPerSecond(500_000)));
        assert_eq!(parse_speed("10M"), Ok(Speed::BitsPerSecond(10_000_000)));
        assert_eq!(parse_speed("1G"), Ok(Speed::BitsPerSecond(1_000_000_000)));
    }

    #[test]
    fn cli_print_capabilities_wins_over_everything_else() {
        let Err(CliExit::Print(text)) = parse(&["--no-such-option", "--print-capabilities"]) else {
            panic!("not printed")
        };
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["type"], "net");
        assert!(value["features"].is_array());
    }

    fn help() -> String {
        let Err(CliExit::Print(text)) = parse(&["--help"]) else { panic!("not printed") };
        text
    }

    #[test]
    fn cli_help_tells_the_limits_of_queues_and_shows_an_example() {
        let text = help().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("QEMU accepts at most {QEMU_QUEUE_SIZE}")), "{text}");
        assert!(text.contains("report violations in the statistics"), "{text}");
        assert!(text.contains("frames taken back on another"), "{text}");
    }

    #[test]
    fn cli_example_is_a_command_line_that_is_accepted() {
        assert!(EXAMPLE.lines().skip(1).all(|line| line.len() <= 80), "wrapped on a terminal: {EXAMPLE}");
        // as a shell joins lines
        let text = help().replace("\\\n", "");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("vhost-device-cancelnic ")).unwrap();
        let args: Vec<&str> = line.trim_end_matches('&').split_whitespace().collect();
        let cli = parse(&args).unwrap();
        assert_eq!((cli.speed, cli.wire), (Speed::BitsPerSecond(10_000_000), WireKind::Loopback));
        assert!(text.contains(&format!(
            "vq_size={},config_size={}",
            cli.queue_size,
            cancelnic_registers::SPACE_SIZE
        )));
        assert!(text.contains(cli.socket_path.unwrap().to_str().unwrap()));
    }

    #[test]
    fn cli_help_names_every_option_of_the_contract() {
        let text = help();
        for option in
            ["--socket-path", "--fd", "--queue-size", "--speed", "--wire", "--control", "--no-cancel"]
        {
            assert!(text.contains(option), "{option}");
        }
    }
}
