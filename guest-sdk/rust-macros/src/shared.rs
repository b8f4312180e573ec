//! What both macros need: ports, types read by their last name, and the plugin's shell.

use proc_macro2::{Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, FnArg, GenericArgument, ItemFn, LitStr, PathArguments, Result, Token, Type};

/// `ports(valid, invalid = "json")`, or nothing.
#[derive(Default)]
pub struct Ports(Vec<(String, String)>);

impl Parse for Ports {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self::default());
        }
        let wanted = "expected `ports(name, name = \"format\")` or nothing";
        let keyword: Ident = input.parse().map_err(|error| Error::new(error.span(), wanted))?;
        if keyword != "ports" {
            return Err(Error::new(keyword.span(), wanted));
        }
        let listed;
        syn::parenthesized!(listed in input);
        let ports = Punctuated::<Port, Token![,]>::parse_terminated(&listed)?;
        Ok(Self(ports.into_iter().map(|port| (port.name, port.format)).collect()))
    }
}

impl ToTokens for Ports {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let ports = self.0.iter().map(|(name, format)| quote!(::weir::Port { name: #name, value_format: #format }));
        tokens.extend(quote!(&[#(#ports),*]));
    }
}

struct Port {
    name: String,
    format: String,
}

impl Parse for Port {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse::<Ident>()?.to_string().replace('_', "-");
        let format = input.parse::<Option<Token![=]>>()?.map(|_| input.parse::<LitStr>()).transpose()?;
        Ok(Self { name, format: format.map_or(String::new(), |format| format.value()) })
    }
}

/// The type of an argument; `self` has none.
pub fn type_of(argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(typed) => Ok(&typed.ty),
        FnArg::Receiver(receiver) => {
            Err(Error::new_spanned(receiver, "a plugin is a function of its own, without `self`"))
        }
    }
}

/// The last name of a path, behind references: `Config` of `&weir::Config<Limits>`.
pub fn name_of(ty: &Type) -> String {
    match ty {
        Type::Reference(reference) => name_of(&reference.elem),
        Type::Path(path) => path.path.segments.last().map_or(String::new(), |segment| segment.ident.to_string()),
        _ => String::new(),
    }
}

/// The first type argument of a path, behind references: `Limits` of `&weir::Config<Limits>`.
pub fn inner_of(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => inner_of(&reference.elem),
        Type::Path(path) => match &path.path.segments.last()?.arguments {
            PathArguments::AngleBracketed(list) => list.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    }
}

/// What a reference refers to, or the type itself.
pub fn referred(ty: &Type) -> &Type {
    if let Type::Reference(reference) = ty { &reference.elem } else { ty }
}

/// The same tokens with every named lifetime but 'static as `'_`, so that they can be said outside of the signature.
pub fn without_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut in_lifetime = false;
    let mut renamed = TokenStream::new();
    for tree in tokens {
        let tree = match tree {
            TokenTree::Ident(name) if in_lifetime && name != "static" => Ident::new("_", name.span()).into(),
            TokenTree::Group(group) => {
                TokenTree::from(Group::new(group.delimiter(), without_lifetimes(group.stream())))
            }
            other => other,
        };
        in_lifetime = matches!(&tree, TokenTree::Punct(punct) if is_tick(punct));
        renamed.extend([tree]);
    }
    renamed
}

fn is_tick(punct: &Punct) -> bool {
    punct.as_char() == '\'' && punct.spacing() == Spacing::Joint
}

/// Refuses what no plugin can be: async, generic over types, unsafe.
pub fn check_function(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        return Err(Error::new_spanned(asyncness, "a plugin's function is not async: a call waits for nothing"));
    }
    if let Some(generic) = signature.generics.type_params().next() {
        return Err(Error::new_spanned(
            generic,
            "a plugin's function has no type parameters: the host calls one function",
        ));
    }
    Ok(())
}

/// The function, a type of its name that is the plugin, and its exports where this is a component.
pub fn plugin(
    function: &ItemFn,
    config: Option<&Type>,
    declaration: &TokenStream,
    process: &TokenStream,
) -> TokenStream {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let document = format!("The plugin `{name}`, for `weir::test`.");
    let (config, configure) = match config {
        Some(ty) => {
            let ty = without_lifetimes(ty.to_token_stream());
            (quote!(::weir::Config<#ty>), quote!(::weir::configuration(text).map(::weir::Config)))
        }
        None => (quote!(()), quote!(::weir::no_configuration(text))),
    };
    quote! {
        #function

        #[doc = #document]
        #[allow(non_camel_case_types)]
        #[derive(Debug)]
        #visibility struct #name {}

        impl ::weir::Processor for #name {
            type Config = #config;
            fn declaration() -> ::weir::Declaration {
                ::weir::Declaration {
                    name: ::core::env!("CARGO_PKG_NAME"),
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    #declaration
                }
            }
            fn configure(text: &str) -> ::core::result::Result<Self::Config, ::std::vec::Vec<::weir::Problem>> {
                #configure
            }
            #[allow(unused_variables)]
            fn process(config: &Self::Config, batch: ::weir::Batch) -> ::weir::Output {
                #process
            }
        }

        #[allow(unsafe_code)]
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            ::weir::export!(#name);
            // Natively nothing calls a plugin but its tests.
            #[cfg(not(target_arch = "wasm32"))]
            let _: fn() -> ::weir::Declaration = <#name as ::weir::Processor>::declaration;
        };
    }
}
