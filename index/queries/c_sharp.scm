(class_declaration name: (identifier) @name) @class
(struct_declaration name: (identifier) @name) @class
(record_declaration name: (identifier) @name) @class
(interface_declaration name: (identifier) @name) @interface
(enum_declaration name: (identifier) @name) @type
(delegate_declaration name: (identifier) @name) @type
(namespace_declaration name: (_) @name) @module
(method_declaration name: (identifier) @name) @method
(constructor_declaration name: (identifier) @name) @method
(destructor_declaration name: (identifier) @name) @method
(local_function_statement name: (identifier) @name) @function
(property_declaration name: (identifier) @name) @variable
(event_field_declaration (variable_declaration (variable_declarator name: (identifier) @name))) @variable
(field_declaration (variable_declaration (variable_declarator name: (identifier) @name))) @variable

(invocation_expression function: [(identifier) @reference (member_access_expression name: (identifier) @reference)])
(object_creation_expression type: (identifier) @reference)
(base_list (identifier) @reference)
(attribute name: (identifier) @reference)
(parameter type: (identifier) @reference)
(variable_declaration type: (identifier) @reference)
(using_directive [(identifier) (qualified_name)] @import)
(comment) @comment
