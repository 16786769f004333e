//! Standard output and error output that may end before the rig does.
//!
//! `println!`, `print!` and `eprintln!` of the rig's crates go through here instead of through the standard library,
//! where a closed pipe is a panic. When the reader of the output has gone (`| head`), the rig ends in silence with exit
//! code 141, as a program that SIGPIPE ends; when the output cannot be written (`/dev/full`), with one line and exit code
//! 3. Both ways every child is ended and every temporary folder removed. Errors of the error output are nobody's to hear. Whatever is printed, a guest's words
//! too, is made [`visible`].

use super::failure::{PIPE_CLOSED, SETUP};
use super::left;
use super::visible::visible;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output is for a file's content, and lines for people go to the error output.
static FOR_A_FILE: AtomicBool = AtomicBool::new(false);

/// Whether the file that is asked for, if any, is standard output: `-`. From then on all lines for people go to the error
/// output, and only [`print_file`] writes to standard output.
pub fn is_output(file: Option<&Path>) -> bool {
    let is_output = file.is_some_and(|file| file == Path::new("-"));
    if is_output {
        FOR_A_FILE.store(true, Ordering::Relaxed);
    }
    is_output
}

/// Whether lines for people go to the error output.
pub fn is_on_errors() -> bool {
    FOR_A_FILE.load(Ordering::Relaxed)
}

/// Prints the content of a file that was asked for as `-`.
pub fn print_file(text: &str) {
    to_output(format_args!("{text}"), "", false);
}

/// Prints a line for people. `in_test`: whether the caller's crate is compiled for its tests.
pub fn print(text: Arguments<'_>, end: &str, in_test: bool) {
    if is_on_errors() { print_error(text, end) } else { to_output(text, end, in_test) }
}

fn to_output(text: Arguments<'_>, end: &str, in_test: bool) {
    let text = format!("{text}{end}");
    let text = visible(&text);
    if in_test {
        // The test harness takes what goes this way, and shows it for a test that failed.
        return std::print!("{text}");
    }
    let mut output = stdout().lock();
    let written = output.write_all(text.as_bytes());
    drop(output);
    let Err(error) = written else { return };
    // What ends the rig may be under way already.
    left::stand_aside_if_interrupted();
    if error.kind() == ErrorKind::BrokenPipe {
        left::leave(PIPE_CLOSED, None);
    }
    left::leave(SETUP, Some(&format!("cannot write to standard output: {error}")));
}

/// Prints to the error output, if there is one.
pub fn print_error(text: Arguments<'_>, end: &str) {
    let text = format!("{text}{end}");
    let _ = stderr().lock().write_all(visible(&text).as_bytes());
}

/// As the standard library's, but a closed pipe is no panic.
#[macro_export]
macro_rules! println {
    () => { $crate::base::console::print(format_args!(""), "\n", cfg!(test)) };
    ($($text:tt)*) => { $crate::base::console::print(format_args!($($text)*), "\n", cfg!(test)) };
}

/// As the standard library's, but a closed pipe is no panic.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::base::console::print(format_args!($($text)*), "", cfg!(test)) };
}

/// As the standard library's, but a closed pipe is no panic.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::base::console::print_error(format_args!(""), "\n") };
    ($($text:tt)*) => { $crate::base::console::print_error(format_args!($($text)*), "\n") };
}
