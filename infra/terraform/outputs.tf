output "stack" {
  value       = aws_cloudformation_stack.finops_credits.outputs
  description = "Outputs of the stack, by their names there, e.g. DataBucketName."
}
