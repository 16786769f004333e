//! Function indices and function types match the published function table (`facts/kmdf-1.33-functions.txt`).

use std::{collections::BTreeMap, fs, path::Path};

use syn::{FnArg, Item, Signature, Type};

/// A function of the table: index, and its signature as tokens.
struct Function {
    index: usize,
    signature: String,
}

/// Parses lines of the form `116 WdfDriverCreate(Name: Type, ...) -> Type`; `(?)` marks unpublished parameters.
fn facts() -> BTreeMap<String, Function> {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("facts/kmdf-1.33-functions.txt");
    let text = fs::read_to_string(path).expect("the facts are in the repository");
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (index, declaration) = line.trim().split_once(' ').expect("index and declaration");
            let signature: Signature = syn::parse_str(&format!("fn {}", declaration.replace("(?)", "()")))
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            let arguments: Vec<_> = signature
                .inputs
                .iter()
                .map(|argument| match argument {
                    FnArg::Typed(argument) => text_of(&argument.ty),
                    FnArg::Receiver(_) => panic!("{line}: a receiver"),
                })
                .collect();
            let function = Function {
                index: index.parse().expect("a number"),
                signature: format!("{arguments:?} {}", result_of(&signature.output)),
            };
            (signature.ident.to_string(), function)
        })
        .collect()
}

/// A type as text without blanks.
fn text_of(ty: &Type) -> String {
    match ty {
        Type::Ptr(pointer) => {
            let kind = if pointer.mutability.is_some() { "*mut" } else { "*const" };
            format!("{kind} {}", text_of(&pointer.elem))
        }
        Type::Path(path) => path.path.segments.last().expect("a segment").ident.to_string(),
        other => panic!("unexpected kind of type {:?}", std::mem::discriminant(other)),
    }
}

fn result_of(output: &syn::ReturnType) -> String {
    match output {
        syn::ReturnType::Default => "nothing".to_owned(),
        syn::ReturnType::Type(_, ty) => text_of(ty),
    }
}

#[test]
fn names_stand_at_their_indices() {
    let facts = facts();
    assert_eq!(facts.len(), 458);
    for (name, function) in &facts {
        assert_eq!(wdk_offline::function_name(function.index), Some(name.as_str()));
    }
    assert_eq!(wdk_offline::function_name(458), None);
    assert_eq!(wdk_offline::_WDFFUNCENUM::WdfFunctionTableNumEntries, 458);
    assert_eq!(wdk_offline::loader::KMDF_1_31_FUNCTION_COUNT, 458);
}

#[test]
fn the_enumeration_gives_the_same_indices() {
    let facts = facts();
    let file = syn::parse_file(wdk_offline::sources::TYPES).expect("the bindings are Rust");
    let items = file
        .items
        .iter()
        .find_map(|item| match item {
            Item::Mod(module) if module.ident == "_WDFFUNCENUM" => module.content.as_ref(),
            _ => None,
        })
        .expect("the module that the call macro looks for");
    let mut seen = 0;
    for item in &items.1 {
        let Item::Const(constant) = item else { continue };
        let ident = constant.ident.to_string();
        let Some(name) = ident.strip_suffix("TableIndex") else { continue };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(value), .. }) = &*constant.expr else {
            panic!("{ident} is no number")
        };
        assert_eq!(value.base10_parse::<usize>().expect("a number"), facts[name].index, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 458);
}

#[test]
fn function_types_take_the_published_parameters() {
    let facts: BTreeMap<_, _> = facts()
        .into_iter()
        .map(|(name, function)| (format!("PFN_{}", name.to_uppercase()), function))
        .collect();
    let texts = [wdk_offline::sources::TYPES, wdk_offline::sources::OFFERED];
    let files = texts.map(|text| syn::parse_file(text).expect("the bindings are Rust"));
    let mut seen = 0;
    for item in files.iter().flat_map(|file| &file.items) {
        let Item::Type(alias) = item else { continue };
        let Some(fact) = facts.get(&alias.ident.to_string()) else { continue };
        let Type::Path(option) = &*alias.ty else { panic!("{} is no option", alias.ident) };
        let syn::PathArguments::AngleBracketed(inner) =
            &option.path.segments.last().expect("a segment").arguments
        else {
            panic!("{} is no option", alias.ident)
        };
        let Some(syn::GenericArgument::Type(Type::BareFn(function))) = inner.args.first() else {
            panic!("{} holds no function", alias.ident)
        };
        let arguments: Vec<_> = function.inputs.iter().map(|argument| text_of(&argument.ty)).collect();
        assert_eq!(
            format!("{arguments:?} {}", result_of(&function.output)),
            fact.signature,
            "{}",
            alias.ident
        );
        seen += 1;
    }
    assert_eq!(
        seen,
        29 + 60 + 87,
        "every function that a driver of ours calls, or that understudy offers besides, has its type"
    );
}
