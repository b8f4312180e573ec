//! A processor's stores and timers: the type that holds them, written from the arguments.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, FnArg, Ident, ItemFn, Pat, Result, Type};

use crate::shared::with_static_lifetimes;

/// A store among the arguments.
pub struct Kept<'a> {
    /// The argument's name, and so the store's.
    pub name: &'a Ident,
    /// `KeyValue<Str, i64>` and the like.
    pub ty: &'a Type,
    /// Whether the records' keys are read ahead.
    pub prefetch: bool,
}

/// Takes `#[store(prefetch = key)]` off the arguments: no attribute of ours may stay there. Returns their names.
pub fn take_attributes(function: &mut ItemFn) -> Result<Vec<Ident>> {
    let mut prefetched = Vec::new();
    for argument in &mut function.sig.inputs {
        let FnArg::Typed(typed) = argument else { continue };
        let Some(at) = typed.attrs.iter().position(|attribute| attribute.path().is_ident("store")) else { continue };
        let attribute = typed.attrs.remove(at);
        let wanted = || Error::new_spanned(&attribute, "expected `#[store(prefetch = key)]`");
        let mut asked = false;
        attribute.parse_nested_meta(|meta| {
            asked = meta.path.is_ident("prefetch") && meta.value()?.parse::<Ident>()? == "key";
            Ok(())
        })?;
        match &*typed.pat {
            Pat::Ident(pattern) if asked => prefetched.push(pattern.ident.clone()),
            _ => return Err(wanted()),
        }
    }
    Ok(prefetched)
}

/// The type that holds `stores` and, if asked for, timers; and its items.
pub fn state(function: &ItemFn, stores: &[&Kept<'_>], timers: bool) -> (TokenStream, TokenStream) {
    if stores.is_empty() && !timers {
        return (quote!(()), quote!());
    }
    let (visibility, holder) = (&function.vis, format_ident!("{}_state", function.sig.ident));
    let names: Vec<&Ident> = stores.iter().map(|store| store.name).collect();
    let types: Vec<Type> = stores.iter().map(|store| with_static_lifetimes(store.ty)).collect();
    // A store is called as people write names in a topology file.
    let called: Vec<String> = names.iter().map(|name| name.to_string().replace('_', "-")).collect();
    let ahead: Vec<&Ident> = stores.iter().filter(|store| store.prefetch).map(|store| store.name).collect();
    let timers_field = timers.then(|| quote!(__timers: ::weir::Timers,));
    let timers_open = timers.then(|| quote!(__timers: ::core::default::Default::default(),));
    let timers_visit = timers.then(|| quote!(visit(&mut self.__timers);));
    let items = quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_docs, missing_debug_implementations)]
        #visibility struct #holder {
            #(#names: #types,)*
            #timers_field
        }

        impl ::weir::State for #holder {
            const TIMERS: bool = #timers;
            fn stores() -> ::std::vec::Vec<::weir::StoreDeclaration> {
                ::std::vec![#(<#types as ::weir::Store>::declaration(#called)),*]
            }
            fn open() -> Self {
                Self { #(#names: <#types as ::weir::Store>::open(#called),)* #timers_open }
            }
            fn each(&mut self, visit: &mut dyn ::core::ops::FnMut(&mut dyn ::weir::Pending)) {
                #(visit(&mut self.#names);)*
                #timers_visit
            }
            #[allow(unused_variables)]
            fn prefetch(&mut self, keys: ::core::option::Option<&::weir::Column>) {
                #(if let ::core::option::Option::Some(keys) = keys { self.#ahead.prefetch(keys); })*
            }
        }
    };
    (quote!(#holder), items)
}
