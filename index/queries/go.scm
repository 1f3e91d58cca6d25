(function_declaration name: (identifier) @name) @function
(method_declaration name: (field_identifier) @name) @method
(type_declaration "type" . (type_spec name: (type_identifier) @name type: (struct_type))) @class
(type_declaration "(" (type_spec name: (type_identifier) @name type: (struct_type)) @class)
(type_declaration "type" . (type_spec name: (type_identifier) @name type: (interface_type))) @interface
(type_declaration "(" (type_spec name: (type_identifier) @name type: (interface_type)) @interface)
(type_declaration "type" . (type_spec name: (type_identifier) @name)) @type
(type_declaration "(" (type_spec name: (type_identifier) @name) @type)
(type_declaration (type_alias name: (type_identifier) @name)) @type
(source_file (const_declaration (const_spec name: (identifier) @name)) @variable)
(source_file (var_declaration (var_spec name: (identifier) @name)) @variable)
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name))) @variable)

(call_expression function: [(identifier) @reference (selector_expression field: (field_identifier) @reference)])
(type_identifier) @reference
(import_spec path: (_) @import)
(comment) @comment
