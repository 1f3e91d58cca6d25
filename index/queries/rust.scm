(function_item name: (identifier) @name) @function
(function_signature_item name: (identifier) @name) @function
(struct_item name: (type_identifier) @name) @class
(union_item name: (type_identifier) @name) @class
(enum_item name: (type_identifier) @name) @type
(type_item name: (type_identifier) @name) @type
(trait_item name: (type_identifier) @name) @interface
(impl_item type: [(type_identifier) @name (generic_type type: (type_identifier) @name)]) @class
(mod_item name: (identifier) @name body: (_)) @module
(macro_definition name: (identifier) @name) @function
(const_item name: (identifier) @name) @variable
(static_item name: (identifier) @name) @variable

(call_expression function: [
  (identifier) @reference
  (field_expression field: (field_identifier) @reference)
  (scoped_identifier name: (identifier) @reference)
  (generic_function function: (identifier) @reference)])
(macro_invocation macro: (identifier) @reference)
(type_identifier) @reference
(use_declaration argument: (_) @import)
[(line_comment) (block_comment) (attribute_item)] @comment
