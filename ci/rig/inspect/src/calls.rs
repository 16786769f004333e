//! The functions that an image's code takes from a framework's table.
//!
//! The code is read from the first instruction of each executable section to the last. A register that was loaded from the
//! table's pointer, or with the table's address, is followed until it is written, or, unless callees keep it, up to a call.
//! Functions whose address goes another way (through memory, say) are not found: the list can be too short, never too long
//! for code that a compiler made.

use crate::binding::{Binding, Table};
use crate::image::Image;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use std::collections::{BTreeMap, BTreeSet};

/// Registers that a callee may change, in the convention of Windows.
const VOLATILE: [Register; 7] =
    [Register::RAX, Register::RCX, Register::RDX, Register::R8, Register::R9, Register::R10, Register::R11];

/// Indices of the functions that `image` takes from the table of `binding`.
pub(crate) fn find(image: &Image, binding: &Binding) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for section in image.sections.iter().filter(|section| section.executable) {
        let mut reader = Reader { binding, known: BTreeMap::new(), found: &mut found };
        let mut facts = InstructionInfoFactory::new();
        for instruction in
            &mut Decoder::with_ip(64, image.bytes(section), image.address(section), DecoderOptions::NONE)
        {
            reader.step(&instruction, &mut facts);
        }
    }
    found
}

struct Reader<'r> {
    binding: &'r Binding,
    /// Registers that hold an address in the table; the value is how far from the table's beginning.
    known: BTreeMap<Register, u64>,
    found: &'r mut BTreeSet<usize>,
}

impl Reader<'_> {
    /// The entry at so many bytes from the table's beginning.
    fn entry(&mut self, offset: u64) {
        let index = (offset / 8) as usize;
        if offset.is_multiple_of(8) && index < self.binding.functions as usize {
            self.found.insert(index);
        }
    }

    /// Address of a memory operand that is relative to the instruction, or fixed.
    fn fixed(instruction: &Instruction) -> Option<u64> {
        if instruction.is_ip_rel_memory_operand() {
            return Some(instruction.ip_rel_memory_address());
        }
        let none =
            instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
        none.then(|| instruction.memory_displacement64())
    }

    fn step(&mut self, instruction: &Instruction, facts: &mut InstructionInfoFactory) {
        let memory = (0..instruction.op_count()).any(|op| instruction.op_kind(op) == OpKind::Memory);
        let target = (instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register)
            .then(|| instruction.op0_register().full_register());
        let mut holds = None;
        if memory {
            let based = self.known.get(&instruction.memory_base().full_register()).copied();
            let plain = instruction.memory_index() == Register::None;
            let place =
                based.filter(|_| plain).map(|from| from.wrapping_add(instruction.memory_displacement64()));
            let fixed = Self::fixed(instruction);
            let in_table = match self.binding.table {
                Table::Pointer(_) => None,
                Table::Array(address) => fixed.and_then(|fixed| fixed.checked_sub(address)),
            };
            let is_address = instruction.mnemonic() == Mnemonic::Lea;
            match (self.binding.table, fixed) {
                (Table::Pointer(pointer), Some(fixed))
                    if fixed == pointer && instruction.mnemonic() == Mnemonic::Mov =>
                {
                    holds = Some(0);
                }
                _ if is_address => {
                    holds = in_table.or(place).filter(|&at| at < u64::from(self.binding.functions) * 8);
                }
                _ => {
                    if let Some(offset) = in_table.or(place) {
                        self.entry(offset);
                    }
                }
            }
        } else if instruction.mnemonic() == Mnemonic::Mov && instruction.op1_kind() == OpKind::Register {
            holds = self.known.get(&instruction.op1_register().full_register()).copied();
        }
        for used in facts.info(instruction).used_registers() {
            if matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            ) {
                self.known.remove(&used.register().full_register());
            }
        }
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::IndirectCall => {
                VOLATILE.iter().for_each(|register| _ = self.known.remove(register));
            }
            FlowControl::Return | FlowControl::Interrupt | FlowControl::Exception => self.known.clear(),
            _ => {}
        }
        if let (Some(target), Some(at)) = (target, holds) {
            self.known.insert(target, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::Framework;
    use crate::image::Section;

    const BASE: u64 = 0x1_8000_0000;
    const CODE: u64 = BASE + 0x1000;
    const DATA: u64 = BASE + 0x3000;

    /// `REX mov/lea reg, [rip+..]` with the address of `target`, at `at`: `head` is what comes before the displacement.
    fn relative(code: &mut Vec<u8>, head: &[u8], target: u64) {
        code.extend(head);
        let next = CODE + code.len() as u64 + 4;
        code.extend((target.wrapping_sub(next) as u32).to_le_bytes());
    }

    fn found(code: Vec<u8>, table: Table) -> Vec<usize> {
        let section = Section {
            name: ".text".to_owned(),
            place: 0x1000..0x1000 + code.len() as u32,
            writable: false,
            executable: true,
            discardable: false,
            data: 0..code.len(),
        };
        let binding = Binding {
            framework: Framework::Kmdf,
            size: 0x30,
            major: 1,
            minor: 31,
            build: 0,
            functions: 458,
            table,
        };
        let image = Image {
            file: code,
            base: BASE,
            entry: 0x1000,
            sections: vec![section],
            imports: Vec::new(),
            signed: false,
            symbols: None,
        };
        find(&image, &binding).into_iter().collect()
    }

    const MOV_RAX: [u8; 3] = [0x48, 0x8b, 0x05];
    const MOV_RBX: [u8; 3] = [0x48, 0x8b, 0x1d];
    const CALL_RAX: [u8; 2] = [0xff, 0xd0];
    /// call [rax+0x10], entry 2.
    const CALL_RAX_2: [u8; 3] = [0xff, 0x50, 0x10];
    /// call [rbx+0x18], entry 3.
    const CALL_RBX_3: [u8; 3] = [0xff, 0x53, 0x18];

    #[test]
    fn a_function_is_called_or_loaded_through_the_pointer() {
        let mut code = Vec::new();
        relative(&mut code, &MOV_RAX, DATA);
        code.extend(CALL_RAX_2);
        relative(&mut code, &MOV_RAX, DATA);
        // mov rax, [rax+0x3a8]; call rax
        code.extend([0x48, 0x8b, 0x80, 0xa8, 0x03, 0, 0]);
        code.extend(CALL_RAX);
        assert_eq!(found(code, Table::Pointer(DATA)), [2, 117]);
    }

    #[test]
    fn another_pointer_is_none_of_the_table() {
        let mut code = Vec::new();
        relative(&mut code, &MOV_RAX, DATA + 8);
        code.extend(CALL_RAX_2);
        assert_eq!(found(code, Table::Pointer(DATA)), []);
    }

    #[test]
    fn a_register_that_was_written_or_that_a_callee_may_change_is_forgotten() {
        let mut code = Vec::new();
        relative(&mut code, &MOV_RAX, DATA);
        // xor eax, eax
        code.extend([0x31, 0xc0]);
        code.extend(CALL_RAX_2);
        relative(&mut code, &MOV_RAX, DATA);
        // call the next instruction
        code.extend([0xe8, 0, 0, 0, 0]);
        code.extend(CALL_RAX_2);
        assert_eq!(found(code, Table::Pointer(DATA)), []);
    }

    #[test]
    fn a_register_that_callees_keep_and_its_copy_are_followed() {
        let mut code = Vec::new();
        relative(&mut code, &MOV_RBX, DATA);
        code.extend([0xe8, 0, 0, 0, 0]);
        code.extend(CALL_RBX_3);
        // mov rax, rbx
        code.extend([0x48, 0x89, 0xd8]);
        code.extend(CALL_RAX_2);
        assert_eq!(found(code, Table::Pointer(DATA)), [2, 3]);
    }

    #[test]
    fn a_table_in_the_image_is_read_in_place_or_by_its_address() {
        let mut code = Vec::new();
        // call [rip+..], entry 5
        relative(&mut code, &[0xff, 0x15], DATA + 40);
        // lea rbx, [rip+..], the table
        relative(&mut code, &[0x48, 0x8d, 0x1d], DATA);
        code.extend(CALL_RBX_3);
        assert_eq!(found(code, Table::Array(DATA)), [3, 5]);
    }

    #[test]
    fn what_lies_behind_the_table_or_between_entries_is_none() {
        let mut code = Vec::new();
        relative(&mut code, &[0xff, 0x15], DATA + 458 * 8);
        relative(&mut code, &[0xff, 0x15], DATA + 4);
        relative(&mut code, &[0xff, 0x15], DATA - 8);
        assert_eq!(found(code, Table::Array(DATA)), []);
    }
}
