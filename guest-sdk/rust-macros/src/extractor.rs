//! `#[weir::extractor]`: a function of a record that finds its time.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, ItemFn, Result, ReturnType, Type};

use crate::row::{Asks, argument, declaration, read_arguments};
use crate::shared::{Ports, check_function, described, exported, name_of, named};

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(attribute, "expected nothing: an extractor has no ports and no timers"));
    }
    let function: ItemFn = syn::parse2(item)?;
    check_function(&function)?;
    check_return(&function)?;
    let asks = read_arguments(&function)?;
    for (ask, input) in asks.iter().zip(&function.sig.inputs) {
        if matches!(ask, Asks::Out(_) | Asks::Store(_) | Asks::Timers) {
            let message = "an extractor returns a time and does nothing else: it has no `Out`, no stores and no timers";
            return Err(Error::new_spanned(input, message));
        }
    }
    let config = asks.iter().find_map(|ask| if let Asks::Config(ty) = ask { Some(*ty) } else { None });
    let name = &function.sig.ident;
    let (named, described) = (named(&function), described(config, &declaration(&asks, &Ports::default())));
    let exported = exported(name, &quote!(export_extractor), &quote!(Extractor));
    let arguments = asks.iter().map(argument);
    Ok(quote! {
        #named

        impl ::weir::Extractor for #name {
            #described
            #[allow(unused_variables)]
            fn extract(config: &Self::Config, batch: ::weir::Batch) -> ::weir::Extracted {
                ::weir::each_time(batch, |row: ::weir::Row<'_>| ::weir::EventTime::into_result(#name(#(#arguments),*)))
            }
        }

        #exported
    })
}

fn check_return(function: &ItemFn) -> Result<()> {
    let wanted = "an extractor returns `i64`, milliseconds since 1970 UTC, or `Result<i64, Reject>`";
    let is_time = |ty: &Type| name_of(ty) == "i64" || name_of(ty).ends_with("Result");
    match &function.sig.output {
        ReturnType::Type(_, ty) if is_time(ty) => Ok(()),
        ReturnType::Type(_, ty) => Err(Error::new_spanned(ty.to_token_stream(), wanted)),
        ReturnType::Default => Err(Error::new_spanned(&function.sig, wanted)),
    }
}
