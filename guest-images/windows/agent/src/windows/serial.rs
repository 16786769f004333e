//! The serial port, read and written at the same time.

use std::{
    fs::{File, OpenOptions},
    io,
    os::windows::{
        fs::OpenOptionsExt as _,
        io::{AsRawHandle as _, OwnedHandle},
    },
    ptr::null_mut,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cancelnic_agent::conversation::{Link, Port};
use windows_sys::Win32::{
    Devices::Communication::{
        COMMTIMEOUTS, ClearCommError, DCB, GetCommState, NOPARITY, ONESTOPBIT, PURGE_RXCLEAR, PurgeComm,
        SetCommState, SetCommTimeouts, SetupComm,
    },
    Foundation::{ERROR_IO_PENDING, ERROR_TIMEOUT, HANDLE, WAIT_FAILED, WAIT_OBJECT_0},
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, ReadFile, WriteFile},
    System::{
        IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED},
        Threading::{INFINITE, SetEvent, WaitForMultipleObjects},
    },
};

use super::sys::{checked, event};

/// How long a read waits for its first byte, in milliseconds. It then returns with what there is.
const READ_MS: u32 = 1000;
/// The label of the line; a virtual UART does not count it out.
const BAUD: u32 = 115_200;
/// Size of the driver's queues in bytes.
const QUEUE: u32 = 64 << 10;
/// DCB's bit field: fBinary; nothing of flow control, which nobody at the other end does, and both lines up:
/// DTR_CONTROL_ENABLE in bits 4..=5, RTS_CONTROL_ENABLE in bits 12..=13.
const BINARY_LINES_UP: u32 = 1 | 1 << 4 | 1 << 12;

/// A port by its name, such as `COM2`.
pub(super) struct SerialLink(pub String);

impl Link for SerialLink {
    fn open(&self) -> io::Result<Arc<dyn Port>> {
        Ok(Arc::new(SerialPort::open(&self.0)?))
    }
}

struct SerialPort {
    file: File,
    /// Set once the port is closed.
    ended: OwnedHandle,
    closed: AtomicBool,
}

impl SerialPort {
    fn open(name: &str) -> io::Result<Self> {
        let path = format!(r"\\.\{name}");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .share_mode(0)
            .custom_flags(FILE_FLAG_OVERLAPPED)
            .open(path)?;
        let port = Self { file, ended: event()?, closed: AtomicBool::new(false) };
        port.set_up()?;
        Ok(port)
    }

    fn handle(&self) -> HANDLE {
        self.file.as_raw_handle()
    }

    /// Raw bytes, no flow control; reads end soon after bytes have come.
    fn set_up(&self) -> io::Result<()> {
        // {1, 0, n}: a read ends 1 ms after the last byte that came, or after n ms without any. {MAXDWORD, MAXDWORD, n}
        // is meant to do the same, and waits all of n in some versions of Wine.
        let timeouts = COMMTIMEOUTS {
            ReadIntervalTimeout: 1,
            ReadTotalTimeoutMultiplier: 0,
            ReadTotalTimeoutConstant: READ_MS,
            WriteTotalTimeoutMultiplier: 0,
            WriteTotalTimeoutConstant: 0,
        };
        let mut state = DCB { DCBlength: size_of::<DCB>() as u32, ..DCB::default() };
        // SAFETY: the handle is that of an open port; the structures live through the calls.
        unsafe {
            checked(GetCommState(self.handle(), &raw mut state))?;
            state.BaudRate = BAUD;
            state._bitfield = BINARY_LINES_UP;
            state.ByteSize = 8;
            state.Parity = NOPARITY;
            state.StopBits = ONESTOPBIT;
            checked(SetCommState(self.handle(), &raw const state))?;
            checked(SetupComm(self.handle(), QUEUE, QUEUE))?;
            checked(SetCommTimeouts(self.handle(), &raw const timeouts))?;
            checked(PurgeComm(self.handle(), PURGE_RXCLEAR))
        }
    }

    /// Whether the port is still there, which a read that waits in vain need not say. Forgets errors of the line.
    fn look(&self) -> io::Result<()> {
        let mut errors = 0;
        // SAFETY: the port is open; its status is not asked for.
        checked(unsafe { ClearCommError(self.handle(), &raw mut errors, null_mut()) })
    }

    /// Starts a transfer by `start` and waits for its end, or for that of the port. How many bytes were moved.
    fn transfer(&self, start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32) -> io::Result<usize> {
        if self.closed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let done = event()?;
        let mut overlapped = OVERLAPPED { hEvent: done.as_raw_handle(), ..OVERLAPPED::default() };
        if start(self.handle(), &raw mut overlapped) == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) {
                return Err(error);
            }
        }
        let handles = [done.as_raw_handle(), self.ended.as_raw_handle()];
        // SAFETY: both handles are open.
        let woken = unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, INFINITE) };
        let broken = (woken == WAIT_FAILED).then(io::Error::last_os_error);
        if woken != WAIT_OBJECT_0 {
            // SAFETY: the port is open and the transfer is this one. It may be over already, and then nothing happens.
            unsafe { CancelIoEx(self.handle(), &raw const overlapped) };
        }
        let mut moved = 0;
        // SAFETY: waits until the transfer has ended, after which nobody uses buffer or `overlapped`.
        let result =
            checked(unsafe { GetOverlappedResult(self.handle(), &raw const overlapped, &raw mut moved, 1) });
        match broken {
            Some(error) => Err(error),
            None => result.map(|()| moved as usize),
        }
    }
}

impl Port for SerialPort {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, len) = (buffer.as_mut_ptr(), buffer.len() as u32);
        let read = self.transfer(|handle, overlapped| {
            // SAFETY: the buffer outlives the transfer, which waits for its end.
            unsafe { ReadFile(handle, at, len, null_mut(), overlapped) }
        });
        match read {
            Ok(0) => self.look().map(|()| 0),
            // nothing came: Windows counts that as success with 0 bytes, Wine as an error
            Err(error) if error.raw_os_error() == Some(ERROR_TIMEOUT.cast_signed()) => {
                self.look().map(|()| 0)
            }
            read => read,
        }
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (at, len) = (bytes.as_ptr(), bytes.len().min(QUEUE as usize) as u32);
            // SAFETY: as for a read.
            let moved = self.transfer(|handle, overlapped| unsafe {
                WriteFile(handle, at, len, null_mut(), overlapped)
            })?;
            if moved == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(moved..).unwrap_or_default();
        }
        Ok(())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // SAFETY: the event is open. It stays set, so that no later transfer waits.
        unsafe { SetEvent(self.ended.as_raw_handle()) };
    }
}
