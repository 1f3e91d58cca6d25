(rule_set (selectors . (_) @name)) @section
(keyframes_statement (keyframes_name) @name) @section
(media_statement . (_) @name) @section
(declaration (property_name) @name (#match? @name "^--")) @variable

(import_statement [(string_value) (call_expression)] @import)
(comment) @comment
