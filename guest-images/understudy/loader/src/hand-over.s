# From 64-bit mode into a PVH entry: 32-bit protected mode, flat segments, paging and interrupts off, EBX = start info.
# Runs from a copy at an identity-mapped address below 4 GiB.
# EDI = entry, ESI = start info, RDX = pointer of the descriptor table (0, 32-bit code, data).
    .text
    .globl hand_over_start
    .globl hand_over_end
hand_over_start:
    cli
    cld
    lgdt [rdx]
    mov ebx, esi
    lea rax, [rip + 2f]
    push 8
    push rax
    .byte 0x48                  # REX.W: the far return takes 64-bit values
    retf
    .code32
2:  mov eax, 16
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov eax, cr0
    and eax, 0x7fffffff         # PG off leaves long mode
    mov cr0, eax
    mov ecx, 0xc0000080
    rdmsr
    and eax, 0xfffffeff         # LME off
    wrmsr
    xor eax, eax
    mov cr4, eax
    jmp edi
    .code64
hand_over_end:
