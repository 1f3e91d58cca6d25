(class_body (field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @method)
(class_body (field_definition property: (_) @name) @variable)
(class_heritage [(identifier) @reference (member_expression property: (property_identifier) @reference)])
