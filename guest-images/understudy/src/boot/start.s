# PVH entry (32-bit protected mode, paging off, EBX = hvm_start_info), long mode, interrupt stubs, context switch.
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18              # name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad start32

    .section .boot.text, "ax", @progbits
    .code32
    .globl start32
start32:
    cli
    cld
    mov [start_info], ebx
    # 4 GiB in 2 MiB pages, seen twice: at 0, until mm has begun, and at DIRECT (PML4 entry 272)
    xor ecx, ecx
2:  mov eax, ecx
    shl eax, 21
    or eax, 0x83                # present, writable, large
    mov [page_directories + ecx * 8], eax
    mov dword ptr [page_directories + ecx * 8 + 4], 0
    inc ecx
    cmp ecx, 2048
    jb 2b
    xor ecx, ecx
3:  mov eax, ecx
    shl eax, 12
    add eax, offset page_directories + 3
    mov [page_pointers + ecx * 8], eax
    inc ecx
    cmp ecx, 4
    jb 3b
    mov eax, offset page_pointers + 3
    mov [page_root], eax
    mov [page_root + 272 * 8], eax
    mov dword ptr [page_root + 272 * 8 + 4], 0x80000000 # nothing is executed there
    # the image, at KERNEL: entry 511, there 510, and as many large pages as it has
    mov ecx, offset understudy_end + 0x1fffff
    shr ecx, 21
4:  dec ecx
    mov eax, ecx
    shl eax, 21
    or eax, 0x83
    mov [kernel_directory + ecx * 8], eax
    test ecx, ecx
    jnz 4b
    mov eax, offset kernel_directory + 3
    mov [kernel_pointers + 510 * 8], eax
    mov eax, offset kernel_pointers + 3
    mov [page_root + 511 * 8], eax
    mov eax, cr4
    or eax, 0x620               # PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov eax, offset page_root
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900               # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0xfffffff3         # EM, TS off
    or eax, 0x80010022          # PG, WP, NE, MP
    mov cr0, eax
    lgdt [gdt_pointer]
    ljmp 8, offset start64
    .code64
start64:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov edi, [start_info]
    movabs rax, offset kernel_start
    jmp rax

    .section .boot.data, "aw", @progbits
    .balign 8
gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    .word 23
    .long gdt

    .section .boot.bss, "aw", @nobits
    .balign 4096
    .globl page_root
page_root: .skip 4096
page_pointers: .skip 4096
page_directories: .skip 16384
kernel_pointers: .skip 4096
kernel_directory: .skip 4096
start_info: .skip 8

    .section .text
kernel_start:
    lea rsp, [rip + boot_stack_top]
    xor ebp, ebp
    call kernel_main
4:  hlt
    jmp 4b

# 256 stubs of 16 bytes: error code or 0, vector, then the common part.
    .balign 16
    .globl interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    push 0
    .endif
    push vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr
interrupt_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rbx, rsp
    mov rdi, rsp
    and rsp, -16
    sub rsp, 512
    fxsave64 [rsp]              # a driver's ISR may use XMM registers
    cld
    call interrupt_entry
    fxrstor64 [rsp]
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

# switch_context(save: *mut u64 (rdi), load: u64 (rsi)): stores this thread's stack pointer, goes on on the other's.
    .globl switch_context
switch_context:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rax, rsp
    and rsp, -16
    sub rsp, 528
    fxsave64 [rsp]              # XMM6 to XMM15 belong to the driver's callers
    mov [rsp + 512], rax
    mov [rdi], rsp
    mov rsp, rsi
    fxrstor64 [rsp]
    mov rsp, [rsp + 512]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

# First code of a thread: r12 holds its argument.
    .globl thread_trampoline
thread_trampoline:
    mov rdi, r12
    xor ebp, ebp
    call thread_entry
    ud2

    .section .bss
    .balign 16
    .skip 131072
boot_stack_top:

    # Where assembly of other files goes on that the compiler lays behind this one.
    .section .text
