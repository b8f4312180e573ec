//! `#[weir::batch]`: a function of the columns.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, ReturnType, Type};

use crate::shared::{Attribute, Parts, check_function, inner_of, name_of, plugin, type_of};

/// The two forms, for the message.
const FORMS: &str =
    "a batch plugin is `fn(batch: Batch) -> Output` or `fn(batch: Batch, config: &Config<T>) -> Output`";

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Attribute { ports, on_timer } = syn::parse2(attribute)?;
    if let Some(on_timer) = on_timer {
        return Err(Error::new_spanned(on_timer, "a batch plugin has no timers: use `#[weir::processor]`"));
    }
    let function: ItemFn = syn::parse2(item)?;
    check_function(&function)?;
    let config = read_signature(&function)?;
    let name = &function.sig.ident;
    let process = if config.is_some() { quote!(#name(batch, config)) } else { quote!(#name(batch)) };
    let declaration = quote! {
        reads_keys: true,
        reads_timestamps: true,
        key_format: "",
        value_format: "",
        ports: #ports,
    };
    let state = (quote!(()), quote!());
    Ok(plugin(&function, &Parts { config, declaration, process, state, on_timers: None }))
}

fn read_signature(function: &ItemFn) -> Result<Option<&Type>> {
    let signature = &function.sig;
    let wrong = |tokens: &dyn quote::ToTokens| Err(Error::new_spanned(tokens, FORMS));
    let types = signature.inputs.iter().map(type_of).collect::<Result<Vec<_>>>()?;
    match &signature.output {
        ReturnType::Type(_, ty) if name_of(ty) == "Output" => {}
        _ => return wrong(signature),
    }
    match types.as_slice() {
        [batch] if name_of(batch) == "Batch" => Ok(None),
        [batch, config] if name_of(batch) == "Batch" && name_of(config) == "Config" => match inner_of(config) {
            Some(inner) => Ok(Some(inner)),
            None => wrong(config),
        },
        _ => wrong(signature),
    }
}
