(function_definition name: (name) @name) @function
(class_declaration name: (name) @name) @class
(trait_declaration name: (name) @name) @class
(interface_declaration name: (name) @name) @interface
(enum_declaration name: (name) @name) @type
(namespace_definition name: (namespace_name) @name body: (_)) @module
(method_declaration name: (name) @name) @method
(property_declaration (property_element name: (variable_name (name) @name))) @variable
(const_declaration (const_element (name) @name)) @variable

(function_call_expression function: [(name) @reference (qualified_name (name) @reference)])
(member_call_expression name: (name) @reference)
(scoped_call_expression name: (name) @reference)
(scoped_call_expression scope: (name) @reference)
(object_creation_expression [(name) @reference (qualified_name (name) @reference)])
(base_clause (name) @reference)
(class_interface_clause (name) @reference)
(named_type (name) @reference)
(namespace_use_clause [(name) (qualified_name)] @import)
(comment) @comment
