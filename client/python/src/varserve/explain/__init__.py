"""What VAR did to one answer, shown as the page of `varserve explain`."""
