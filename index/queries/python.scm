(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(type_alias_statement left: (type (identifier) @name)) @type
(module (expression_statement (assignment left: (identifier) @name)) @variable)
(class_definition body: (block (expression_statement (assignment left: (identifier) @name)) @variable))

(call function: [(identifier) @reference (attribute attribute: (identifier) @reference)])
(class_definition superclasses: (argument_list [(identifier) @reference (attribute attribute: (identifier) @reference)]))
(decorator [(identifier) @reference (attribute attribute: (identifier) @reference)])
(type [(identifier) @reference (attribute attribute: (identifier) @reference)])
(import_from_statement module_name: (_) @import)
(import_from_statement name: (dotted_name) @reference)
(import_from_statement name: (aliased_import name: (dotted_name) @reference))
(import_statement name: (dotted_name) @import)
(import_statement name: (aliased_import name: (dotted_name) @import))
(comment) @comment
(decorated_definition definition: (_) @wrapped) @wrapper
