//! A stack, walked: through drivers by the unwind data of their images (.pdata, .xdata), through understudy by its
//! DWARF.

use super::modules::Symbols;
use super::pdb;
use super::place::{Place, Places, in_one_line};
use agent_protocol::{LoadedImage, Processor};
use framehop::x86_64::{CacheX86_64, Reg, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{FrameAddress, Module, ModuleSectionInfo, Unwinder as _};
use object::read::elf::ElfFile64;
use object::read::pe::PeFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

/// Frames that are walked at most.
const MOST_FRAMES: usize = 64;
/// The kernel's name in a stack.
const KERNEL: &str = "understudy";

/// The processor's numbering of its registers, as [`Processor::registers`] has them.
const REGISTERS: [Reg; 16] = [
    Reg::RAX,
    Reg::RCX,
    Reg::RDX,
    Reg::RBX,
    Reg::RSP,
    Reg::RBP,
    Reg::RSI,
    Reg::RDI,
    Reg::R8,
    Reg::R9,
    Reg::R10,
    Reg::R11,
    Reg::R12,
    Reg::R13,
    Reg::R14,
    Reg::R15,
];

/// One call that has not returned, or the instruction that it all stopped at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// `cancelnic.sys+0x80c9`, or an address where no image is.
    pub address: String,
    /// `cancelnic.sys`, `understudy`; nothing where no image is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The functions that were inlined there, the innermost first, and the one that has the code. Empty if nothing is
    /// known.
    pub places: Places,
}

impl Frame {
    fn is_of_driver(&self) -> bool {
        self.image.as_deref().is_some_and(|image| image != KERNEL)
    }

    /// Whether it is the compiler's own way from a panic to the panic handler.
    fn is_of_panic(&self) -> bool {
        self.is_of_driver() && self.places.iter().any(|place| place.function.starts_with("core::panicking::"))
    }
}

/// A stack with the place of each call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// What stopped: the rule and the callback.
    pub of: String,
    /// IRQL of the code.
    pub irql: u8,
    /// The innermost call first.
    pub frames: Vec<Frame>,
    /// Why drivers on it have no places, a line each.
    pub notes: Vec<String>,
}

impl Stack {
    /// The driver's innermost call, in one line; of a Rust panic the one that panicked.
    pub fn driver(&self) -> Option<String> {
        let panicked = self.frames.iter().rposition(Frame::is_of_panic).map_or(0, |last| last + 1);
        let frame = self.frames[panicked..].iter().find(|frame| frame.is_of_driver())?;
        Some(match in_one_line(&frame.places) {
            Some(place) => format!("{place} ({})", frame.address),
            None => frame.address.clone(),
        })
    }

    /// Its heading.
    pub fn title(&self) -> String {
        format!("stack of {}, IRQL {}", self.of, self.irql)
    }

    /// The calls, a line each; inlined functions have lines of their own.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Frame { address, image, places } in &self.frames {
            let Some((own, inlined)) = places.split_last() else {
                lines.push(address.clone());
                continue;
            };
            lines.extend(inlined.iter().map(|place| format!("{} (inlined)", place.text())));
            match image.as_deref() {
                Some(KERNEL) => lines.push(format!("{KERNEL}: {}", own.text())),
                _ => lines.push(format!("{} ({address})", own.text())),
            }
        }
        lines
    }

    /// All of it as lines of text.
    pub fn text(&self) -> String {
        let lines = self.lines();
        let all = lines.iter().chain(&self.notes).map(|line| format!("\n  {line}"));
        self.title() + &all.collect::<String>()
    }
}

impl Symbols {
    /// Walks the stack of `processor`, which `of` was found at.
    pub fn walk(&self, of: String, processor: &Processor) -> Stack {
        let kernel = fs::read(&self.kernel).unwrap_or_default();
        let kernel = ElfFile64::<object::Endianness>::parse(&*kernel).ok();
        let range = kernel.as_ref().and_then(Kernel::range);
        let mut unwinder = UnwinderX86_64::<Vec<u8>>::new();
        for image in &processor.images {
            let bytes = self.module(&image.file).and_then(|module| fs::read(&module.image).ok());
            unwinder.add_module(driver(image, bytes));
        }
        if let (Some(kernel), Some(range)) = (&kernel, &range) {
            unwinder.add_module(Module::new(KERNEL.into(), range.clone(), 0, Kernel(kernel)));
        }
        let image = |address: u64| {
            let within = |image: &&LoadedImage| range_of(image).contains(&address);
            processor.images.iter().find(within)
        };
        let known = |address| {
            image(address).is_some() || range.as_ref().is_some_and(|range| range.contains(&address))
        };
        let addresses = addresses(&unwinder, processor, known);

        let mut wanted: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let offset =
            |image: &LoadedImage, address: u64| u32::try_from(address - image.base).unwrap_or(u32::MAX);
        for at in &addresses {
            if let Some(image) = image(at.address_for_lookup()) {
                wanted.entry(&image.file).or_default().push(offset(image, at.address_for_lookup()));
            }
        }
        // Why drivers have no places, by driver.
        let mut notes: BTreeMap<String, String> = BTreeMap::new();
        let mut places: BTreeMap<(&str, u32), Places> = BTreeMap::new();
        for (file, offsets) in &wanted {
            let found = match self.module(file) {
                Some(module) => pdb::look_up(&module.image, offsets),
                None => Err("its file is not known here".into()),
            };
            match found {
                Ok(found) => places.extend(offsets.iter().map(|offset| (*file, *offset)).zip(found)),
                Err(why) => _ = notes.insert((*file).to_owned(), format!("{file} has offsets only: {why}")),
            }
        }
        let frames = addresses.iter().map(|at| {
            let (lookup, address) = (at.address_for_lookup(), at.address());
            match image(lookup) {
                Some(image) => Frame {
                    address: format!("{}+{:#x}", image.file, address - image.base),
                    image: Some(image.file.clone()),
                    places: places.get(&(&*image.file, offset(image, lookup))).cloned().unwrap_or_default(),
                },
                None => Frame {
                    address: format!("{address:#x}"),
                    image: known(lookup).then(|| KERNEL.to_owned()),
                    places: kernel
                        .as_ref()
                        .and_then(|kernel| Kernel::function(kernel, lookup))
                        .into_iter()
                        .collect(),
                },
            }
        });
        let frames = without_the_end(frames.collect());
        Stack { of, irql: processor.irql, frames, notes: notes.into_values().collect() }
    }
}

/// understudy's own calls above the driver's last one only say how it came to stop; the one that the driver made stays.
fn without_the_end(mut frames: Vec<Frame>) -> Vec<Frame> {
    if let Some(driver) = frames.iter().position(Frame::is_of_driver)
        && driver > 1
        && frames[..driver].iter().all(|frame| frame.image.as_deref() == Some(KERNEL))
    {
        frames.drain(..driver - 1);
    }
    // Its assembly has no names, and nothing to tell.
    frames.retain(|frame| !frame.places.is_empty() || frame.image.as_deref() != Some(KERNEL));
    frames
}

/// The instruction, and the return addresses above it.
fn addresses(
    unwinder: &UnwinderX86_64<Vec<u8>>,
    processor: &Processor,
    known: impl Fn(u64) -> bool,
) -> Vec<FrameAddress> {
    let stack = hex::decode(&processor.stack).unwrap_or_default();
    let bottom = processor.registers[Processor::RSP];
    let mut read = |address: u64| {
        let at = usize::try_from(address.checked_sub(bottom).ok_or(())?).map_err(|_| ())?;
        let word = stack.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(())?;
        Ok(u64::from_le_bytes(*word))
    };
    let [rsp, rbp] = [Reg::RSP, Reg::RBP].map(|reg| {
        let at = REGISTERS.iter().position(|other| *other == reg).unwrap_or_default();
        processor.registers[at]
    });
    let mut registers = UnwindRegsX86_64::new(processor.rip, rsp, rbp);
    for (reg, value) in REGISTERS.into_iter().zip(processor.registers) {
        registers.set(reg, value);
    }
    let mut found = vec![FrameAddress::from_instruction_pointer(processor.rip)];
    let mut at = found[0];
    if !known(processor.rip) {
        // A call to where no code is: its return address is the last thing on the stack.
        let Ok(Some(back)) = read(rsp).map(FrameAddress::from_return_address) else { return found };
        registers.set(Reg::RSP, rsp.wrapping_add(8));
        registers.set_ip(back.address());
        at = back;
        if known(at.address_for_lookup()) {
            found.push(at);
        }
    }
    let mut cache = CacheX86_64::new();
    while found.len() < MOST_FRAMES && known(at.address_for_lookup()) {
        let mut step = |at, registers: &mut UnwindRegsX86_64, cache: &mut CacheX86_64| {
            let back = unwinder.unwind_frame(at, registers, cache, &mut read).ok().flatten();
            back.and_then(FrameAddress::from_return_address).filter(|next| known(next.address_for_lookup()))
        };
        let before = registers;
        let next = step(at, &mut registers, &mut cache).or_else(|| {
            // At a jump the crate believes that the function is about to be left, even where it jumps within: the same
            // instruction, as one that was called from, is in the function's body. What it has learnt is forgotten.
            registers = before;
            step(
                FrameAddress::from_return_address(at.address().checked_add(1)?)?,
                &mut registers,
                &mut CacheX86_64::new(),
            )
        });
        let Some(next) = next else { break };
        found.push(next);
        at = next;
    }
    found
}

/// Where an image lies, by what the guest says: the numbers need not make sense.
fn range_of(image: &LoadedImage) -> Range<u64> {
    image.base..image.base.saturating_add(image.size)
}

/// A driver for the walk: its image laid out as in memory, so that every function finds its unwind data, whatever its
/// section is called.
fn driver(image: &LoadedImage, file: Option<Vec<u8>>) -> Module<Vec<u8>> {
    let range = range_of(image);
    let sections = file.and_then(|file| Driver::read(&file)).unwrap_or_default();
    Module::new(image.file.clone(), range, image.base, sections)
}

/// The parts of a driver's image that a walk needs.
#[derive(Default)]
struct Driver {
    base: u64,
    /// The whole image.
    whole: Vec<u8>,
    /// The table of functions.
    functions: Option<Vec<u8>>,
}

impl Driver {
    fn read(file: &[u8]) -> Option<Self> {
        let parsed = PeFile64::parse(file).ok()?;
        let base = parsed.relative_address_base();
        let mut whole = Vec::new();
        let mut functions = None;
        for section in parsed.sections() {
            let start = usize::try_from(section.address().checked_sub(base)?).ok()?;
            let data = section.data().ok()?;
            let end = start.checked_add(data.len())?;
            if end > MOST_IMAGE {
                return None;
            }
            whole.resize(whole.len().max(end), 0);
            whole[start..end].copy_from_slice(data);
            if section.name() == Ok(".pdata") {
                functions = Some(data.to_vec());
            }
        }
        Some(Self { base, whole, functions })
    }
}

/// No driver is as large.
const MOST_IMAGE: usize = 1 << 30;

impl ModuleSectionInfo<Vec<u8>> for Driver {
    fn base_svma(&self) -> u64 {
        self.base
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        matches!(name, b".text" | b".rdata").then(|| self.base..self.base + self.whole.len() as u64)
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b".pdata" => self.functions.take(),
            b".text" | b".rdata" => Some(self.whole.clone()),
            _ => None,
        }
    }
}

/// understudy for the walk, and its functions' names.
struct Kernel<'k, 'd>(&'k ElfFile64<'d>);

impl Kernel<'_, '_> {
    /// Where its code lies: at the addresses that its file says. The first code, which lies far below, calls no driver.
    fn range(elf: &ElfFile64<'_>) -> Option<Range<u64>> {
        let code = elf.section_by_name(".text")?;
        Some(code.address()..code.address() + code.size())
    }

    fn function(elf: &ElfFile64<'_>, address: u64) -> Option<Place> {
        let functions = elf.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
        let of = |symbol: &object::read::elf::ElfSymbol64<'_, '_>| {
            (symbol.address()..symbol.address() + symbol.size()).contains(&address)
        };
        let nearest = functions.filter(of).max_by_key(|symbol| symbol.address())?;
        let name = rustc_demangle::demangle(nearest.name().ok()?);
        Some(Place { function: format!("{name:#}"), file: None, line: None })
    }
}

impl ModuleSectionInfo<Vec<u8>> for Kernel<'_, '_> {
    fn base_svma(&self) -> u64 {
        0
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        let section = self.0.section_by_name_bytes(name)?;
        Some(section.address()..section.address() + section.size())
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        // With .eh_frame alone the walk would look nowhere else, and the functions are in .debug_frame.
        if name == b".eh_frame" || name == b".eh_frame_hdr" {
            return None;
        }
        self.0.section_by_name_bytes(name)?.uncompressed_data().ok().map(Into::into)
    }
}
