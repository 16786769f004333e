//! What a driver asks for, beside what is offered.

use crate::binding::{Binding, bindings};
use crate::calls;
use crate::image::Image;
use crate::offers::Offers;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of one module or framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `ntoskrnl.exe`, `KmdfLibrary 1.31`.
    pub module: String,
    /// Functions that are offered.
    pub offered: BTreeSet<String>,
    /// Functions that are not.
    pub missing: BTreeSet<String>,
}

/// All that a driver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Imports, by module.
    pub imports: Vec<Asked>,
    /// Functions of tables, by framework.
    pub tables: Vec<Asked>,
    /// Bindings that are refused, and why.
    pub refused: Vec<String>,
}

impl Comparison {
    /// How many functions and bindings are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        let functions = self.imports.iter().chain(&self.tables).map(|asked| asked.missing.len());
        functions.sum::<usize>() + self.refused.len()
    }
}

/// Compares.
#[must_use]
pub fn compare(image: &Image, offers: &Offers) -> Comparison {
    let mut modules: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for import in &image.imports {
        let (_, functions) = modules
            .entry(import.module.to_ascii_lowercase())
            .or_insert_with(|| (import.module.clone(), BTreeSet::new()));
        functions.insert(import.function.clone());
    }
    let imports = modules
        .into_values()
        .map(|(module, functions)| split(module.clone(), functions, offers.of(&module)))
        .collect();
    let mut refused = Vec::new();
    let tables = bindings(image)
        .iter()
        .map(|binding| {
            refused.extend(refusal(binding, offers));
            let found = calls::find(image, binding);
            let name = |index: usize| {
                let unnamed = || format!("function {index} of {}", binding.framework.component());
                binding.framework.function(index).map_or_else(unnamed, str::to_owned)
            };
            let offered = offers.of_framework(binding.framework.component()).map(|(_, names)| names);
            split(binding.title(), found.into_iter().map(name).collect(), offered)
        })
        .collect();
    Comparison { imports, tables, refused }
}

fn split(module: String, functions: BTreeSet<String>, offered: Option<&BTreeSet<String>>) -> Asked {
    let (offered, missing) =
        functions.into_iter().partition(|function| offered.is_some_and(|names| names.contains(function)));
    Asked { module, offered, missing }
}

/// Why a binding would be refused.
fn refusal(binding: &Binding, offers: &Offers) -> Option<String> {
    let title = binding.title();
    let (known, _) = offers.of_framework(binding.framework.component())?;
    (!known_version(known, binding)).then(|| format!("{title} is not offered, only {known} and earlier"))
}

/// Whether the version is the listed one, or an earlier one, whose table is the beginning of it.
fn known_version(title: &str, binding: &Binding) -> bool {
    let listed = title.rsplit(' ').next().and_then(|version| version.split_once('.'));
    let Some((major, minor)) =
        listed.and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)))
    else {
        return false;
    };
    binding.major == major && binding.minor <= minor
}
