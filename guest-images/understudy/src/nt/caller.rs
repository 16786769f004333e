//! Who calls: the return address tells the driver. It goes behind the arguments.

/// Functions of at most three arguments: the return address becomes the fourth.
macro_rules! caller_is_fourth {
    ($($entry:ident => $function:path,)*) => {$(
        #[unsafe(naked)]
        pub(super) unsafe extern "win64" fn $entry() {
            core::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym $function)
        }
    )*};
}

/// Functions of four to seven arguments: the return address becomes the eighth, the arguments from the fifth on are copied.
macro_rules! caller_is_eighth {
    ($($entry:ident => $function:path,)*) => {$(
        #[unsafe(naked)]
        pub(super) unsafe extern "win64" fn $entry() {
            core::arch::naked_asm!(
                "sub rsp, 0x48",
                "mov rax, [rsp + 0x70]",
                "mov [rsp + 0x20], rax",
                "mov rax, [rsp + 0x78]",
                "mov [rsp + 0x28], rax",
                "mov rax, [rsp + 0x80]",
                "mov [rsp + 0x30], rax",
                "mov rax, [rsp + 0x48]",
                "mov [rsp + 0x38], rax",
                "call {}",
                "add rsp, 0x48",
                "ret",
                sym $function,
            )
        }
    )*};
}

pub(super) use {caller_is_eighth, caller_is_fourth};
