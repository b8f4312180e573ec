//! `#[weir::aggregator]`: the plugin of an aggregate node.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, Result};

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let configured = !attribute.is_empty();
    if configured && syn::parse2::<Ident>(attribute.clone()).is_ok_and(|word| word != "config") {
        return Err(Error::new_spanned(attribute, "expected `config` or nothing"));
    }
    let item: ItemImpl = syn::parse2(item)?;
    let wanted = "write it over `impl Aggregator for YourType`";
    let of = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
    if of.is_none_or(|segment| segment.ident != "Aggregator") {
        return Err(Error::new_spanned(&item.self_ty, wanted));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new_spanned(generic, "a plugin has no type parameters: the host calls one type"));
    }
    let merges = item.items.iter().any(|item| matches!(item, ImplItem::Fn(function) if function.sig.ident == "merge"));
    let ty = &item.self_ty;
    let configure = match configured {
        true => quote!(::weir::configuration(text)),
        false => quote!(::weir::no_configuration(text).map(|()| <Self as ::core::default::Default>::default())),
    };
    Ok(quote! {
        #item

        impl ::weir::AggregatorPlugin for #ty {
            const MERGES: bool = #merges;
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            fn configure(text: &str) -> ::core::result::Result<Self, ::std::vec::Vec<::weir::Problem>> {
                #configure
            }
        }

        #[allow(unsafe_code)]
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            ::weir::export_aggregator!(#ty);
            // Natively nothing calls a plugin but its tests.
            #[cfg(not(target_arch = "wasm32"))]
            let _: fn(&str) -> ::core::result::Result<#ty, ::std::vec::Vec<::weir::Problem>> =
                <#ty as ::weir::AggregatorPlugin>::configure;
        };
    })
}
